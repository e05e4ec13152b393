"""Faults planted between a runtime and the worker that times it: each is found; and nothing is
found where there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from portproof import backend as backends
from portproof.backend import LoadRequest
from portproof.core.errors import ToolError
from portproof.infer.timing.answers.assess import Witnessed, assess
from portproof.infer.timing.answers.judge import fault_of, never_varies
from portproof.infer.timing.answers.tolerances import arithmetic, own
from portproof.infer.timing.answers.witness import Call, Evidence, Output
from portproof.infer.timing.processes.child import Server
from portproof.infer.timing.processes.feed import Feeding
from portproof.measurement import Answers

Array = Any
Fault = Callable[[Array, dict[str, Any]], Array]


def rolled_in(part: float) -> Fault:
    return lambda a, _: a + np.float32(part) * np.roll(a, 1, axis=0) if len(a) > 1 else a


def before(a: Array, state: dict[str, Any]) -> Array:
    """The answer of the call before, where that had the shape."""
    old, state["old"] = state.get("old", a), a
    return old if old.shape == a.shape else a


def random_row(a: Array, state: dict[str, Any]) -> Array:
    a[len(a) // 2] = state.setdefault("rng", np.random.default_rng(1)).normal(size=a.shape[1])
    return a


def later_nan(a: Array, state: dict[str, Any]) -> Array:
    """NaN from the ninth call on."""
    state["calls"] = state.get("calls", 0) + 1
    return a * np.nan if state["calls"] > 8 else a


def order(*places: int) -> Fault:
    """Rows in other places; the places count from both ends."""
    first, last = places

    def fault(a: Array, _: dict[str, Any]) -> Array:
        swapped = a.copy()
        if len(a) > 1:
            swapped[[first, last]] = a[[last, first]]
        return swapped

    return fault


FAULTS: dict[str, Fault] = {
    "row swap": order(0, 1),
    "first and last swapped": order(0, -1),
    "reversed": lambda a, _: a[::-1].copy(),
    "rotated": lambda a, _: np.roll(a, 1, axis=0),
    "mean of the batch subtracted": lambda a, _: a - a.mean(axis=0) if len(a) > 1 else a,
    "a part of the row before": rolled_in(0.05),
    "cache of the first answer": lambda a, state: state.setdefault(a.shape, a),
    "the batch before": before,
    "one random row": random_row,
    "NaN above batch 2": lambda a, _: a * np.nan if len(a) > 2 else a,
    "NaN after some calls": later_nan,
    "half of the rows empty": lambda a, _: a * (np.arange(len(a)) < (len(a) + 1) // 2)[:, None],
    "the last row as the one before": lambda a, _: (
        np.concatenate([a[:-1], a[-2:-1]]) if len(a) > 1 else a
    ),
    "dropout": lambda a, state: (
        a * (state.setdefault("rng", np.random.default_rng(2)).random(a.shape) > 0.3)
    ),
}
AT_ONE = {"cache of the first answer", "the batch before", "one random row", "dropout"}


class Faulty:
    """A session of one output whose answers are changed."""

    def __init__(self, session: Any, fault: Fault, constant: float | None) -> None:
        self._session, self._fault, self._state = session, fault, dict[Any, Any]()
        self._constant = constant

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        right = np.array(self._session.run(feeds)["class"])
        if self._constant is not None:
            # Answers that hardly vary, as random weights give.
            right = np.float32(self._constant) + np.float32(1e-3) * right
        return {"class": self._fault(right, self._state).astype(np.float32)}


@pytest.fixture
def heard(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """``heard(batch, fault, ...)``: what a worker's session answered at a batch."""
    monkeypatch.chdir(tiny.folder)
    for batch in (1, 2, 4, 8):
        tiny.save_model(f"m_bs{batch}.onnx", tiny.weight, batch=batch)
    real = backends.find("ort")

    def hear(
        batch: int,
        fault: Fault = lambda a, _: a,
        kind: Any = "random",
        fixed: bool = False,
        constant: float | None = None,
        singles: bool = False,
    ) -> Witnessed:
        def load(model: Path, request: LoadRequest) -> Any:
            return Faulty(real.load(model, request), fault, constant)

        module = SimpleNamespace(load=load, PACKAGES=())
        monkeypatch.setattr(backends, "find", lambda _: module)
        server = Server()
        file = f"m_bs{batch}.onnx" if fixed else "model.onnx"
        feeding = Feeding(kind, "prep.info" if kind == "real" else None, {})
        server.load("ort", file, LoadRequest(batch, spinning=False), feeding)
        server.warm_up(2)
        server.block(3, last=False)
        server.block(3, last=True)
        evidence = server.evidence(singles)
        assert evidence is not None
        if never_varies(evidence.calls):
            evidence = server.anew()
        server.unload()
        return Witnessed("fp32", [evidence])

    return hear


def judged(
    heard: Any, batches: tuple[int, ...], *arguments: Any, **named: Any
) -> dict[int, Answers]:
    found = assess({"a": {b: heard(b, *arguments, **named) for b in batches}}, None)
    return {batch: answers for (_, batch), answers in found.items()}


@pytest.mark.parametrize("kind", ["random", "zeros", "real"])
@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_found(heard: Any, name: str, kind: str) -> None:
    found = judged(heard, (1, 2, 4), FAULTS[name], kind)
    assert found[4].ok is False, name
    assert found[4].reason
    assert not found[4].checked
    assert found[2].ok is (name == "NaN above batch 2")
    if name in AT_ONE:
        assert found[1].ok is False


@pytest.mark.parametrize("name", FAULTS)
def test_where_answers_hardly_vary_too(heard: Any, name: str) -> None:
    assert judged(heard, (1, 4), FAULTS[name], constant=1.0)[4].ok is False


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("batch", [2, 4])
def test_files_of_a_fixed_batch_are_compared_within_it(heard: Any, name: str, batch: int) -> None:
    found = judged(heard, (batch,), FAULTS[name], fixed=True)
    if batch > 2 or name != "NaN above batch 2":
        assert found[batch].ok is False


def test_without_batch_1_rows_are_asked_for_alone_after_the_blocks(heard: Any) -> None:
    found = judged(heard, (4,), FAULTS["a part of the row before"], singles=True)
    assert "differs from the same row alone" in str(found[4].reason)


@pytest.mark.parametrize("kind", ["random", "zeros", "real"])
@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("constant", [None, 1.0])
def test_nothing_is_found_where_there_is_nothing(
    heard: Any, kind: str, fixed: bool, constant: float | None
) -> None:
    found = judged(heard, (1, 2, 4, 8), kind=kind, fixed=fixed, constant=constant)
    assert [a.reason for a in found.values()] == [None] * 4
    assert all(a.ok and a.checked and a.calls <= 6 for a in found.values())


def test_one_answer_to_everything_is_no_fault_of_a_constant_model(heard: Any) -> None:
    found = judged(heard, (1, 4), lambda a, _: 0 * a)
    assert [a.ok for a in found.values()] == [True, True]


def test_a_cache_at_batch_1_alone_is_found_by_loading_anew(heard: Any) -> None:
    found = judged(heard, (1,), FAULTS["cache of the first answer"], kind="zeros")
    assert found[1].ok is False


def test_one_answer_at_batch_1_and_several_elsewhere_is_wrong_at_both(heard: Any) -> None:
    found = judged(heard, (1, 4), lambda a, _: a - a.mean(axis=0))
    assert "every input has the same answer at batch 1" in str(found[1].reason)
    assert found[4].ok is False


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("row swap", "row 1 of a batch of 4 has the answer of another row"),
        ("NaN above batch 2", "output 'class' is not a number (NaN) in 4 of 4 rows of a batch"),
        ("dropout", "the same call twice gives answers that differ by"),
    ],
)
def test_the_sentence_says_what_is_wrong(heard: Any, name: str, words: str) -> None:
    assert words in str(judged(heard, (4,), FAULTS[name], singles=name == "row swap")[4].reason)


def test_a_model_that_cannot_take_made_rows_is_judged_by_the_timed_ones(
    heard: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fussy(session: Any, feeds: Mapping[str, Array]) -> dict[str, Array]:
        if np.abs(feeds["image"]).max() < 2:
            raise ToolError("the model takes large values only")
        return right(session, feeds)

    right = Faulty.run
    large = 10 * np.random.default_rng(3).normal(size=(44, 3, 2, 2)).astype(np.float32)
    monkeypatch.setattr(Feeding, "batches", lambda *_: [{"image": large[:4]}])
    made = {"image": np.zeros((4, 3, 2, 2), np.float32)}
    monkeypatch.setattr("portproof.infer.timing.answers.witness.strong_rows", lambda *_: made)
    monkeypatch.setattr(Faulty, "run", fussy)
    assert judged(heard, (4,))[4].ok is True
    assert judged(heard, (4,), FAULTS["row swap"])[4].ok is False


def test_where_every_answer_is_nan_real_inputs_are_named(heard: Any) -> None:
    always = judged(heard, (1, 4), lambda a, _: a * np.nan)
    above = judged(heard, (1, 4), FAULTS["NaN above batch 2"])
    assert [a.ok for a in (*always.values(), *above.values())] == [False, False, True, False]
    assert "needs --inputs real" in str(always[4].reason)
    assert "--inputs" not in str(above[4].reason)


def test_outputs_that_are_no_rows_are_not_said_to_be_checked() -> None:
    boxes = Call("first", (("timed", 0, "f"),), (Output("boxes", (7, 4), None, (False,)),))
    (answers,) = assess({"a": {1: Witnessed("fp32", [Evidence([boxes])])}}, None).values()
    assert answers.ok is None
    assert "nothing to compare" in str(answers.reason)


def test_masks_widen_nothing_and_equal_infinities_are_equal() -> None:
    """A constant -1e9 beside small answers, and an infinity that is the same both times."""

    def two(one: float, other: float) -> list[Call]:
        calls = []
        for a in (one, other):
            values = np.array([[a, -1e9, np.inf], [2 * a, -1e9, np.inf]], np.float32)
            keys: Any = (("made", 0, "f"), ("made", 1, "f"))
            calls.append(Call("mixed", keys, (Output("o", (3,), values, (False, False)),)))
        return calls

    assert fault_of(two(0.1, 0.1000001), own("fp32")) is None
    assert fault_of(two(0.1, 0.11), own("fp32")) is not None


def test_a_wrong_score_is_not_hidden_by_pixels() -> None:
    def boxes(score: float) -> Call:
        rows = np.array([[300 * i, 200 + i, score * (1 + i)] * 4 for i in range(3)], np.float32)
        keys: Any = tuple(("made", i, "f") for i in range(3))
        return Call("mixed", keys, (Output("o", (4, 3), rows, (False,) * 3),))

    assert fault_of([boxes(0.1), boxes(0.1)], own("fp32")) is None
    assert fault_of([boxes(0.1), boxes(0.12)], own("fp32")) is not None


@pytest.mark.parametrize(
    ("precision", "flipped", "found"), [("fp32", 1, True), ("fp16", 1, False), ("fp16", 3, True)]
)
def test_whole_numbers_may_flip_where_precision_is_low(
    precision: str, flipped: int, found: bool
) -> None:
    keys: Any = tuple(("made", i, "f") for i in range(8))
    right = np.arange(8).reshape(8, 1)
    other = right.copy()
    other[:flipped] += 40
    calls = [Call("mixed", keys, (Output("o", (), v, (False,) * 8),)) for v in (right, other)]
    assert (fault_of(calls, own(precision)) is not None) is found


@pytest.mark.parametrize(
    ("precision", "device", "provider", "rounds"),
    [
        ("fp32", "cpu", None, "fp32"),
        ("fp32", "cuda:0", "CUDA 12.8, TF32 off", "fp32"),
        ("fp32", "cuda:0", "TensorRT 10", "tf32"),
        ("fp16", "cuda:0", "TensorRT 10", "fp16"),
    ],
)
def test_what_rounds(precision: str, device: str, provider: str | None, rounds: str) -> None:
    assert arithmetic(precision, device, provider) == rounds
