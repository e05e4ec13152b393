"""The same mistake ends in the same exit code, whoever executes the model, and leaves no result."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from portproof.core.errors import PortProofError
from portproof.infer.offline.by_tool import run_with_tool
from portproof.infer.offline.inference import run
from portproof.infer.timing.job import bench, plan_for
from portproof.manifest import Sample, write_info
from portproof.rehearsal.device import aclruntime
from portproof.rehearsal.installing import install

RUNNERS = ("om", "ais_bench", "msame", "benchmark")


@pytest.fixture
def folder(tmp_path: Path, om_models: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with models that have no sidecar, six samples, and the simulated tools."""
    (tmp_path / "models").symlink_to(om_models)
    (tmp_path / "prep").mkdir()
    for index in range(6):
        np.full((3, 4, 4), index, np.float32).tofile(tmp_path / f"prep/s{index}.bin")
    write_info(
        tmp_path / "prep.info", [Sample(f"s{k}", (f"prep/s{k}.bin",), 4, 4) for k in range(6)]
    )
    for name, value in install(tmp_path / "tools", "Ascend310P3", dict(os.environ)).items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(str(tmp_path / "tools" / "python"))
    monkeypatch.setitem(sys.modules, "aclruntime", aclruntime)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def nothing() -> None:
    """The samples as they are."""


def other_size() -> None:
    for path in Path("prep").iterdir():
        path.write_bytes(path.read_bytes() * 2)


def one_missing() -> None:
    Path("prep/s3.bin").unlink()


@dataclass(frozen=True)
class Mistake:
    """What is asked for, what is done to the samples before, and what every runner ends with."""

    model: str = "bs4.om"
    batch: int = 4
    device: str = "npu:0"
    options: Mapping[str, str] = field(default_factory=dict)
    before: Callable[[], None] = nothing
    code: int = 2
    #: The benchmark tool does not say what a model takes, so that a size is a failure of its own.
    except_for: tuple[str, ...] = ()


MISTAKES = {
    "no such model": Mistake("none.om"),
    "a damaged model": Mistake("garbage.om"),
    "a batch above the model's": Mistake(batch=8),
    "a batch below the model's": Mistake(batch=2),
    "no such device": Mistake(device="npu:7"),
    "no device of an NPU": Mistake(device="cuda:0"),
    "samples of another size": Mistake(before=other_size, except_for=("benchmark",)),
    "a missing sample": Mistake(before=one_missing),
    "an unknown option": Mistake(options={"speed": "1"}),
    "a choice that a model does not have": Mistake(options={"dims": "image:4,3,4,4"}),
    "a dynamic batch that is none": Mistake("dymbatch.om", 5, options={}),
    "dimensions that are none": Mistake("dymdims.om", 2, options={"dims": "image:2,3,4,4"}),
    "a shape that nobody chose": Mistake("dymshape.om"),
    "a shape of another batch": Mistake(
        "dymshape.om", options={"shape": "image:2,3,4,4", "outsize": "80"}
    ),
}


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("name", MISTAKES)
def test_one_exit_code_and_no_result(folder: Path, name: str, runner: str) -> None:
    mistake = MISTAKES[name]
    mistake.before()
    model = f"models/{mistake.model}"
    with pytest.raises(PortProofError) as caught:
        if runner == "om":
            run(
                model,
                "prep.info",
                "result",
                batch=mistake.batch,
                device=mistake.device,
                options=mistake.options,
            )
        else:
            run_with_tool(
                runner,
                model,
                "prep.info",
                "result",
                batch=mistake.batch,
                device=mistake.device,
                options=mistake.options,
            )
    code = 3 if runner in mistake.except_for else mistake.code
    assert (caught.value.exit_code, "Traceback" in str(caught.value)) == (code, False)
    assert not Path("result.proof.json").exists()
    assert not any(Path("result").glob("*"))


@pytest.mark.parametrize("batch", [2, 8])
@pytest.mark.parametrize("runner", RUNNERS)
def test_a_bench_of_another_batch_has_no_rate(folder: Path, runner: str, batch: int) -> None:
    subject = f"a={runner}:models/bs4.om"
    inputs = "random" if runner in ("om", "benchmark") else "zeros"
    plan = plan_for([subject], (), iterations=3, blocks=2) if runner != "om" else None
    with pytest.raises(PortProofError, match=r"4") as caught:
        bench(
            [subject], [batch], inputs=inputs, out="perf.json", **({"plan": plan} if plan else {})
        )
    assert caught.value.exit_code == 2
    assert not Path("perf.json").exists()
