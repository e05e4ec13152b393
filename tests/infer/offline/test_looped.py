"""A model that a user's function calls as often as it likes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from portproof.backend import TensorSpec
from portproof.core.errors import InputError
from portproof.infer.offline.looped import Loop, Looped, loop_facts

SPECS = (TensorSpec("base", "float32", (None, 2)), TensorSpec("steps", "int64", (None, 3)))
LOOP = """\
import numpy as np

def count(run, feeds):
    steps = np.zeros((len(feeds["base"]), 3), np.int64)
    for at in range(3):
        steps[:, at] = run({**feeds, "steps": steps})["total"][:, 0]
    return {"steps": steps}

def other(run, feeds):
    return {"lost": 1}

def half(run, feeds):
    return {"steps": np.zeros((len(feeds["base"]), 3), np.float32)}

def without(run, feeds):
    run(feeds)
"""


class Summing:
    """Answers the sum of all that it is given, in memory that it uses again."""

    inputs, outputs = SPECS, (TensorSpec("total", "int64", (None, 1)),)
    device, precision, provider = "cpu", "fp32", None

    def run(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        total = feeds["base"].sum(1) + feeds["steps"].sum(1)
        return {"total": total.astype(np.int64)[:, None]}


def looped(folder: Path, name: str, makes: tuple[str, ...] = ("steps",)) -> Looped:
    (folder / "loop.py").write_text(LOOP)
    return Looped(Summing(), SPECS, Loop(f"{folder}/loop.py:{name}", makes))  # type: ignore[arg-type]


def test_what_it_answers_is_fed_back(tmp_path: Path) -> None:
    session = looped(tmp_path, "count")
    assert [spec.name for spec in session.inputs] == ["base"]
    assert [spec.name for spec in session.outputs] == ["steps"]
    found = session.run({"base": np.array([[1, 0], [1, 1]], np.float32)})
    assert found["steps"].tolist() == [[1, 2, 4], [2, 4, 8]]
    assert loop_facts(session, continued=False) == {"calls_a_batch": 3.0}  # type: ignore[arg-type]
    assert loop_facts(session, continued=True) == {"calls_a_batch": None}  # type: ignore[arg-type]
    assert loop_facts(SimpleNamespace(), continued=False) == {}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "makes", "sentence"),
    [
        ("other", ("steps",), "returned lost, a dict of steps was expected"),
        ("half", ("steps",), "input 'steps' is float32, the model takes int64"),
        ("without", ("steps",), "were given"),
        ("count", ("lost",), "the model's inputs are base, steps"),
        ("count", ("base", "steps"), "names every input"),
        ("absent", ("steps",), "has no callable 'absent'"),
    ],
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path, name: str, makes: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(InputError) as caught:
        looped(tmp_path, name, makes).run({"base": np.ones((1, 2), np.float32)})
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    "words", [["--loop", "a.py:f"], ["--loop-makes", "x"]], ids=["alone", "makes alone"]
)
def test_a_loop_says_what_it_makes(stage, tmp_path: Path, words: list[str]) -> None:
    done = stage("infer/run.py", "m.onnx", "--info", "i", "--out", tmp_path / "r", *words)
    assert done.returncode == 2
    assert "go together" in done.stderr
