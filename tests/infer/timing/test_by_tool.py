"""What a vendor's tool is timed with, and that nobody has seen its answers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from portproof.core.errors import InputError
from portproof.infer.timing.by_tool import ByTool
from portproof.infer.timing.job import bench
from portproof.infer.timing.processes.feed import Feeding
from portproof.infer.timing.protocol import Job, Plan
from portproof.infer.timing.subject import parse_subject
from portproof.rehearsal.installing import install


def way(om_models: Path, tool: str, kind: Any, info: str | None = None) -> ByTool:
    subject = parse_subject(f"310p={tool}:{om_models}/bs{{batch}}.om")
    return ByTool(Job((subject,), (4,), None, Feeding(kind, info, {}), Plan(iterations=2)))


def test_real_samples_are_put_together_where_nobody_knows_the_shapes(
    tiny: Any, om_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny.folder)
    timer = way(om_models, "msame", "real", "prep.info")
    scratch = Path("scratch")
    scratch.mkdir()
    (path,) = timer._inputs(timer.job.subjects[0], None, 4, scratch)
    assert path.read_bytes() == b"".join(Path(f"prep/s{i}.bin").read_bytes() for i in range(4))


@pytest.mark.parametrize("tool", ["ais_bench", "msame"])
def test_where_a_card_is_needed_zeros_are_named(om_models: Path, tool: str, tmp_path: Path) -> None:
    timer = way(om_models, tool, "random")
    with pytest.raises(InputError, match=r"card with --model, or --inputs zeros$"):
        timer._inputs(timer.job.subjects[0], None, 4, tmp_path)


def test_answers_of_a_tool_are_not_checked_and_info_makes_its_inputs_real(
    tiny: Any, om_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny.folder)
    tiny.save_samples({f"s{i}": tiny.data["s0"].repeat(4) for i in range(4)})
    environment = install(tiny.folder / "r", "Ascend310P3", {"PATH": os.environ["PATH"]})
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    subject, plan = f"310p=msame:{om_models}/bs{{batch}}.om", Plan(blocks=2, iterations=2)
    done = bench([subject], [4], info="prep.info", plan=plan, out="perf.json")
    (measurement,) = done.measurements
    assert measurement.inputs == "real"
    assert measurement.answers is not None
    assert measurement.answers.ok is None
    assert measurement.answers.reason == "msame gives no answers when it is timed"
    assert measurement.images_per_second
    assert done.wrong == []
