"""A new vendor tool is one new file: it executes a bench and a run, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from portproof.infer import vendor
from portproof.infer.offline.by_tool import run_with_tool
from portproof.infer.runtimes.load_options import VENDOR_TOOLS
from portproof.infer.timing.job import bench, plan_for
from portproof.manifest import Sample, write_info

TOOL = """\
from portproof.infer.vendor import Outcome

PACKAGES, FORMS, INPUTS = ("numpy",), ("bin",), ("zeros",)


def infer(job, samples):
    results = {}
    for sample in samples:
        path = job.scratch / f"{sample.id}.out"
        path.write_bytes(b"\\0" * 8)
        results[sample.id] = [path]
    return Outcome(results, None, 1000.0, {"batch": job.batch})


def time_calls(job, count, inputs):
    job.log.parent.mkdir(parents=True, exist_ok=True)
    job.log.write_text("toytool ran")
    return [0.5] + [0.25] * (count - 1)
"""


@pytest.fixture
def folder(tmp_path: Path, om_models: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder, and a tool in a folder of its own that counts as one of ``infer/vendor``."""
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "toytool.py").write_text(TOOL)
    monkeypatch.setattr(vendor, "__path__", [*vendor.__path__, str(tmp_path / "tools")])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").symlink_to(om_models)
    return tmp_path


def test_it_is_timed(folder: Path) -> None:
    assert "toytool" in vendor.names()
    subject = "a=toytool:models/bs{batch}.om"
    plan = plan_for([subject], (), iterations=3, blocks=2)
    done = bench([subject], [1, 4], inputs="zeros", plan=plan, out="perf.json")
    assert [(m.backend, m.batch, m.images_per_second) for m in done.measurements] == [
        ("toytool", 1, 4.0),
        ("toytool", 4, 16.0),
    ]
    assert [m.first_calls for m in done.measurements] == [[0.5, 0.5]] * 2
    assert "numpy" in done.versions
    assert (folder / "logs/bench_toytool_a_bs4.log").read_text() == "toytool ran"


def test_it_runs_over_samples(folder: Path) -> None:
    (folder / "s.bin").write_bytes(b"1234")
    write_info(folder / "s.info", [Sample("s", ("s.bin",))])
    proof = run_with_tool("toytool", "models/bs4.om", "s.info", "result", batch=4)
    assert proof.facts["rate"] == {"boundary": "device", "images_per_second": 1000.0}
    assert (folder / "result" / "s_1.bin").read_bytes() == b"\0" * 8


def test_the_commands_list_every_file_of_the_folder(root: Path) -> None:
    files = {path.stem for path in (root / "infer" / "vendor").glob("*.py")}
    assert set(VENDOR_TOOLS) == set(vendor.names()) == files - {"__init__"}
