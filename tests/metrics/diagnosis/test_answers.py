"""Outputs that were sorted, written along another axis or bent behind the model; number types and
headers beside a second fault; and faults that an order hides.
"""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from portproof.metrics.accuracy.one_output import Results
from portproof.metrics.diagnosis.candidates import NEXT_TO_NOTHING
from portproof.metrics.diagnosis.explain import Diagnosis, diagnose
from portproof.metrics.diagnosis.numbers.answers import changed_answers
from portproof.metrics.diagnosis.numbers.form import Form, form_of
from portproof.metrics.diagnosis.numbers.functions import functions, sound_share
from portproof.metrics.diagnosis.numbers.plausible import are_outputs

from .world import CLASSES, World

COUNT = 96
Rows = np.ndarray
Change = Callable[[Rows], Rows]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("answers"), COUNT)


def softmax(rows: Rows) -> Rows:
    powers = np.exp(rows - rows.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def sigmoid(rows: Rows) -> Rows:
    return 1 / (1 + np.exp(-rows))


def noise(rows: Rows, scale: float) -> Rows:
    return rows + scale * rows.std() * np.random.default_rng(4).standard_normal(rows.shape)


def in_batches(rows: Rows, size: int, change: Change) -> Rows:
    return np.concatenate([change(rows[i : i + size]) for i in range(0, len(rows), size)])


#: fault, how it is made, a word of its evidence
ANSWERS: dict[str, tuple[str, Change, str]] = {
    "sorted": ("outputs-sorted", lambda r: np.sort(r, axis=1)[:, ::-1], "the largest first"),
    "sorted upwards": ("outputs-sorted", lambda r: np.sort(r, axis=1), "the smallest first"),
    "probabilities sorted": (
        "outputs-sorted",
        lambda r: np.sort(softmax(r), axis=1)[:, ::-1],
        "probabilities without their classes",
    ),
    "the best 5": (
        "outputs-sorted",
        lambda r: np.sort(softmax(r), axis=1)[:, :-6:-1],
        "the best 5 probabilities",
    ),
    "class by class": (
        "output-axes",
        lambda r: in_batches(r, 16, lambda b: b.T.reshape(b.shape)),
        "batches of 16 were written class by class",
    ),
    "class by class, the last batch short": (
        "output-axes",
        lambda r: in_batches(r, 25, lambda b: b.T.reshape(b.shape)),
        "batches of 25",
    ),
    "read class by class": (
        "output-axes",
        lambda r: in_batches(r, 8, lambda b: b.reshape(b.shape[1], -1).T),
        "batches of 8 were written sample by sample",
    ),
    "all in one": ("output-axes", lambda r: r.T.reshape(r.shape), f"batches of {COUNT}"),
    "softmax twice": ("softmax-twice", lambda r: softmax(softmax(r)), "softmax of their softmax"),
    "sigmoid": ("sigmoid", sigmoid, "are their sigmoid"),
    "sigmoid of a softmax": ("sigmoid", lambda r: sigmoid(softmax(r)), "of their softmax"),
    "softmax of a sigmoid": ("sigmoid", lambda r: softmax(sigmoid(r)), "of their sigmoid"),
    "tanh": ("outputs-changed", np.tanh, "hyperbolic tangent"),
    "cube root": ("outputs-changed", np.cbrt, "one function"),
    "square root of probabilities": (
        "outputs-changed",
        lambda r: np.sqrt(softmax(r)),
        "one function",
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_changed_answers(world: World, name: str) -> None:
    fault, change, said = ANSWERS[name]
    diagnosis = world.diagnose(change(world.right))
    assert [f.fault for f in diagnosis.faults] == [fault], diagnosis.to_text()
    assert said in diagnosis.faults[0].evidence and diagnosis.verdict == "FAIL"
    assert diagnosis.faults[0].accuracy_after == 1


def logits(seed: int) -> Rows:
    """Outputs of some spread, with a class that is clear."""
    generator = np.random.default_rng(seed)
    rows = 3 * generator.standard_normal((200, 10))
    rows[np.arange(200), generator.integers(0, 10, 200)] += 6
    return rows


def eight_bits(rows: Rows, share: float) -> Rows:
    """Of a range that ends at a share of the largest value."""
    step = share * np.abs(rows).max() / 127
    return np.clip(np.rint(rows / step), -128, 127) * step


SOUND: dict[str, Change] = {
    "the same": lambda r: r,
    "another scale": lambda r: 3 * r + 1,
    "probabilities": softmax,
    "probabilities on another scale": lambda r: 100 * softmax(r) + 5,
    "logarithms of probabilities": lambda r: np.log(softmax(r)),
    "halves": lambda r: r.astype(np.float16),
    "probabilities of halves": lambda r: softmax(r).astype(np.float16),
    "8 bits": lambda r: eight_bits(r, 1.0),
    "8 bits that saturate": lambda r: eight_bits(r, 0.6),
    "probabilities of 8 bits that saturate": lambda r: softmax(eight_bits(noise(r, 0.05), 0.7)),
    "noise of 8 bits": lambda r: noise(r, 0.05),
    "noise of 8 bits on the scale of a sigmoid": lambda r: 0.25 * noise(r, 0.05) + 0.5,
    "halves that saturate": lambda r: np.clip(8000 * r, -65504, 65504).astype(np.float16),
}


@pytest.mark.parametrize("name", SOUND)
def test_what_a_sound_port_gives_is_no_function(name: str) -> None:
    right = logits(1)
    found = [f for f in functions(SOUND[name](right).astype(np.float64), right)
             if (f.left or 0.0) <= NEXT_TO_NOTHING]  # fmt: skip
    assert not found, found[0].candidate.evidence


@pytest.mark.parametrize("change", [lambda r: 3 * r + 1, lambda r: softmax(r), lambda r: 2 - r])
def test_what_a_sound_port_leaves(change: Change) -> None:
    """Next to nothing, but where larger values became smaller ones."""
    right = logits(2)
    left = sound_share(change(right), right)
    assert left > 0.5 if change(right)[0].argmax() != right[0].argmax() else left < 1e-9


def written(world: World, rows: Rows, write: Callable[[Rows], bytes]) -> Diagnosis:
    result = world.folder / "written"
    shutil.rmtree(result, ignore_errors=True)
    result.mkdir()
    for i, row in enumerate(rows):
        Path(result, f"img_{i:0{world.digits}d}_1.bin").write_bytes(write(row))
    return diagnose(str(world.card), world.model, world.images, world.labels, result)


#: fault, and how a row is written
FORMS: dict[str, tuple[str, Callable[[Rows], bytes]]] = {
    "doubles": ("results-dtype", lambda r: r.astype("<f8").tobytes()),
    "big-endian": ("results-dtype", lambda r: r.astype(">f4").tobytes()),
    "halves": ("results-dtype", lambda r: r.astype("<f2").tobytes()),
    "halves in a longer file": (
        "results-dtype",
        lambda r: r.astype("<f2").tobytes() + bytes(2 * CLASSES),
    ),
    "8 bytes before": (
        "header",
        lambda r: struct.pack("<ii", 1, CLASSES) + r.astype("<f4").tobytes(),
    ),
    "12 bytes behind": ("header", lambda r: r.astype("<f4").tobytes() + bytes(12)),
    "8 bytes before, the end lost": (
        "header",
        lambda r: (struct.pack("<ii", 1, CLASSES) + r.astype("<f4").tobytes())[: 4 * CLASSES],
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_form_beside_another_fault(world: World, name: str) -> None:
    fault, write = FORMS[name]
    mirrored = world.infer(np.stack([world.normalised(p[:, ::-1]) for p in world.pixels()]))
    diagnosis = written(world, mirrored, write)
    assert [f.fault for f in diagnosis.faults] == [fault, "mirrored"], diagnosis.to_text()


@pytest.mark.parametrize("before", [True, False])
def test_a_header_beside_results_that_are_no_numbers(world: World, before: bool) -> None:
    """Nothing in them is like the reference's; what is the same in every file is no answer."""
    header = struct.pack("<iiii", 1, CLASSES, 1, 1)

    def write(rows: np.ndarray) -> bytes:
        numbers = rows.astype("<f4").tobytes()
        return header + numbers if before else numbers + header

    rows = np.full_like(world.right, np.nan)
    assert [f.fault for f in written(world, rows, write).faults] == ["header", "not-finite"]
    rows[:, 2] = np.where(np.arange(len(rows)) % 3, np.inf, -np.inf)
    assert [f.fault for f in written(world, rows, write).faults] == ["header", "not-finite"]


def test_another_model_is_not_a_header(world: World) -> None:
    from portproof.core.errors import InputError

    more = np.hstack([world.right, world.right[:, ::-1][:, :2]])
    with pytest.raises(InputError, match="the port has 14 classes, the reference 12"):
        world.diagnose(np.random.default_rng(1).permuted(more, axis=0))


def test_sizes_tell_outputs_from_other_bytes() -> None:
    right = logits(3)
    with np.errstate(invalid="ignore"):
        swapped = right.astype(">f4").view("<f4").astype(np.float64)
    assert are_outputs(right, right) and are_outputs(40 * right, right)
    assert not are_outputs(swapped, right)


def test_outputs_of_which_most_are_no_numbers_are_no_other_type() -> None:
    """Read as halves from an odd byte on, NaN is -2.0 and 0.000015, which may be outputs. The rows
    are those of a network of which one weight is damaged.
    """
    rows = np.full((16, 10), -np.nan, "<f4")
    rows[:, 2] = np.inf
    rows[[2, 11], 2] = np.nan
    rows[8:10, [0, 1, 6, 8]], rows[8:10, 7] = -np.inf, np.inf
    rows[4] = [-0.738, -1.171, 3.026, -0.517, 1.517, -2.071, -1.190, -0.816, -1.991, 0.673]
    rows[7] = [-0.633, -1.017, 2.254, -0.278, 1.101, -1.461, -1.061, -0.659, -1.508, 0.724]
    rows[[4, 7]] *= np.float32(1e37)
    files = SimpleNamespace(raw=lambda ids: [row.tobytes() for row in rows])
    right = 5 * np.random.default_rng(2).standard_normal((16, 10))
    assert form_of(cast("Results", files), [str(i) for i in range(16)], right, "float32") is None


ORDERS: dict[str, tuple[str, Change]] = {
    "classes reversed": ("classes-order", lambda r: r[:, ::-1]),
    "classes in any order": (
        "classes-order",
        lambda r: r[:, np.random.default_rng(4).permutation(CLASSES)],
    ),
    "samples in any order": (
        "samples-shuffled",
        lambda r: r[np.random.default_rng(4).permutation(COUNT)],
    ),
}


@pytest.mark.parametrize("name", ORDERS)
def test_a_fault_that_an_order_hides(world: World, name: str) -> None:
    fault, change = ORDERS[name]
    turned = world.infer(np.stack([world.normalised(p[::-1, ::-1]) for p in world.pixels()]))
    diagnosis = world.diagnose(change(turned))
    assert [f.fault for f in diagnosis.faults] == ["rotated", fault], diagnosis.to_text()


@pytest.mark.parametrize(
    ("fault", "change"),
    [
        ("sigmoid", sigmoid),
        ("outputs-sorted", lambda r: np.sort(r, axis=1)[:, ::-1]),
        ("outputs-rounded", lambda r: np.rint(r)),
    ],
)
def test_changed_answers_of_another_input(world: World, fault: str, change: Change) -> None:
    turned = world.infer(np.stack([world.normalised(p[::-1, ::-1]) for p in world.pixels()]))
    diagnosis = world.diagnose(change(turned))
    assert {f.fault for f in diagnosis.faults} == {"rotated", fault}, diagnosis.to_text()


def test_classes_whose_values_hardly_change_are_on_no_curve() -> None:
    """Two models of which each has one answer for all: any curve goes through so few points."""
    rng = np.random.default_rng(9)
    right, port = (
        rng.standard_normal(CLASSES) + 1e-3 * rng.standard_normal((COUNT, CLASSES))
        for _ in range(2)
    )
    assert not [f for f in functions(port, right) if (f.left or 0.0) <= NEXT_TO_NOTHING]
    bent = np.exp(right)
    assert [f for f in functions(bent, right) if (f.left or 0.0) <= NEXT_TO_NOTHING]


def test_floats_without_room_for_fractions_are_not_rounded(world: World) -> None:
    """A damaged weight makes numbers of 1e37 of all outputs: whole ones, as all such floats are."""
    huge = (world.right * 1e37).astype(np.float32).astype(np.float64)
    assert np.array_equal(huge, np.rint(huge))
    said = [f.candidate.fault for f in changed_answers(huge, world.right.astype(np.float64))]
    assert "outputs-rounded" not in said


def test_halves_in_files_for_floats_are_seen_beside_another_fault() -> None:
    """Two halves of usual sizes, read as one float, look like an output too."""
    rng = np.random.default_rng(0)
    right, port = (rng.choice([-1, 1], (40, 12)) * rng.uniform(1.1, 1.9, (40, 12)) for _ in "ab")
    halves = [row.astype("<f2").tobytes() + bytes(24) for row in port]
    files = SimpleNamespace(raw=lambda ids: [halves[int(i)] for i in ids])
    found = form_of(cast("Results", files), [str(i) for i in range(40)], right, "float32")
    assert found is not None and (found[0].dtype, found[0].skip) == ("<f2", 0)


def _form_of(rows: Rows, classes: int) -> Form | None:
    """Of results with these rows, beside a reference of so many classes that has other values."""
    right = np.random.default_rng(1).normal(0, 3, (len(rows), classes))
    files = SimpleNamespace(raw=lambda ids: [rows[int(i)].tobytes() for i in ids])
    found = form_of(cast("Results", files), [str(i) for i in range(len(rows))], right, "float32")
    return found[0] if found else None


def test_halves_of_all_classes_are_not_floats_of_half_as_many() -> None:
    rng = np.random.default_rng(0)
    signs = rng.choice([-1, 1], (40, 20))
    for rows in (signs * rng.uniform(1.1, 1.9, (40, 20)), rng.normal(0, 3, (40, 20))):
        form = _form_of(rows.astype("<f2"), 20)
        assert form is not None and (form.dtype, form.skip) == ("<f2", 0)


@pytest.mark.parametrize("bits", [0xFFFFFFFF, 0xFFFFE000, 0xFFFF0000])
@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
def test_floats_of_half_as_many_classes_are_not_halves(bits: int, scale: float) -> None:
    """Also of values that float16 and bfloat16 hold, whose last bits are zeros."""
    rows = np.random.default_rng(0).normal(0, scale, (40, 10)).astype("<f4")
    assert _form_of((rows.view("<u4") & np.uint32(bits)).view("<f4"), 20) is None
