"""The simulated aclruntime against the transcripts of the real one, argument for argument.

Each case runs in a process of its own, as in the transcripts; the model is a tiny one, so sizes
differ and are those of the tiny model.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Program = Callable[..., subprocess.CompletedProcess[str]]
Run = Callable[..., str]

PRELUDE = """
import gc, sys
import numpy as np
from portproof.rehearsal.device import aclruntime
x = np.random.default_rng(0).standard_normal((1, 3, 4, 4)).astype(np.float32)
M = "models/bs1.om"
def O(level=3):
    o = aclruntime.session_options(); o.log_level = level; return o
def S(path=M, dev=0, level=3): return aclruntime.InferenceSession(path, dev, O(level))
def D(a):
    t = aclruntime.Tensor(a); t.to_device(0); return t
def B(a): return aclruntime.BaseTensor(a.__array_interface__["data"][0], a.nbytes)
def N(s): return [o.name for o in s.get_outputs()]
"""

OPEN = "[INFO] acl init success\n[INFO] open device 0 success\n"

#: Runs each case in a fork of one process, so that ACL's process-wide state is fresh and the
#: imports are paid once.
SERVER = """
import atexit, json, os, traceback
answers = {}
for name, code in json.load(open('cases.json')).items():
    if not (child := os.fork()):
        out = os.open('answer.txt', os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
        os.dup2(out, 1); os.dup2(out, 2)
        try:
            exec(code, dict(globals()))
        except BaseException:
            traceback.print_exc()
        atexit._run_exitfuncs()
        os._exit(0)
    os.waitpid(child, 0)
    answers[name] = open('answer.txt', errors='replace').read()
print(json.dumps(answers))
"""


def read_cases() -> dict[str, tuple[str, list[str]]]:
    """Name -> code and the texts that must come, from the file of cases. A backslash at the end of
    a text: it ends within a line.
    """
    found = {}
    for part in (Path(__file__).parent / "aclruntime_cases.md").read_text().split("### ")[1:]:
        name, _, rest = part.partition("\n")
        code, *texts = re.findall(r"```(?:python)?\n(.*?)```", rest, re.DOTALL)
        found[name] = (code, [t.removesuffix("\\\n") for t in texts])
    return found


CASES = read_cases()


@pytest.fixture(scope="module")
def answers(
    tmp_path_factory: pytest.TempPathFactory, root: Path, om_models: Path
) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("cases")
    (folder / "models").symlink_to(om_models)
    (folder / "cases.json").write_text(
        json.dumps({name: code for name, (code, _) in CASES.items()})
    )
    environment = os.environ | {"PYTHONPATH": str(root / "src"), "PYTHONUNBUFFERED": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + SERVER],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=True,
    )
    return dict(json.loads(done.stdout))


@pytest.fixture
def run(program: Program) -> Run:
    def case(code: str, **options: object) -> str:
        return program("-c", PRELUDE + code, **options).stdout

    return case


@pytest.mark.parametrize("name", CASES)
def test_it_answers_as_the_real_one_did(answers: dict[str, str], name: str) -> None:
    text = re.sub(r"0x[0-9a-f]+", "0x", answers[name]).replace("\r", "\n")
    at = 0
    for expected in CASES[name][1]:
        assert expected in text[at:], text
        at = text.index(expected, at)


def test_the_description_as_text(run: Run) -> None:
    assert (
        run("print(S())")
        == OPEN
        + "<Model>\ndevice:\t0\ninput:\n  #0    image  (1, 3, 4, 4)  float32  192  192\noutput:\n"
        "  #0    /fc/Gemm:0:class  (1, 10)  float32  40  40\n\n"
    )


def test_the_librarys_own_lines_come_late_in_a_pipe(run: Run) -> None:
    code = "print('one', flush=True); s = S(level=2); print('two', flush=True)"
    late = run(code, buffered=True)
    assert late.splitlines()[:2] == ["one", "two"]
    assert late.splitlines()[2:] == [
        "[INFO] acl init success",
        "[INFO] open device 0 success",
        "[INFO] load model models/bs1.om success",
        "[INFO] create model description success",
        "[INFO] unload model success, model Id is 1",
        "[INFO] end to destroy context",
        "[INFO] end to reset device is 0",
        "[INFO] end to finalize acl",
    ]
    assert run(code).splitlines()[:3] == [
        "one",
        "[INFO] acl init success",
        "[INFO] open device 0 success",
    ]


def test_outputs_are_those_of_onnx_runtime(om_models: Path, tiny_onnx: Path) -> None:
    import numpy as np
    import onnxruntime

    from portproof.rehearsal.device import aclruntime

    options = aclruntime.session_options()
    options.log_level = 4
    session = aclruntime.InferenceSession(str(om_models / "bs4.om"), 0, options)
    images = np.random.default_rng(1).normal(size=(4, 3, 4, 4)).astype(np.float32)
    feed = aclruntime.Tensor(images)
    feed.to_device(0)
    (out,) = session.run(["/fc/Gemm:0:class"], [feed])
    out.to_host()
    expected = onnxruntime.InferenceSession(str(tiny_onnx)).run(None, {"image": images})[0]
    np.testing.assert_array_equal(np.array(out), expected)


def test_the_transcripts_errors_are_all_known(shared: Path) -> None:
    from portproof.rehearsal.device.acl import failure

    text = (shared / "samples" / "ais_bench" / "python_api" / "transcripts.md").read_text()
    seen = set(re.findall(r"RuntimeError: (\[(-?\d+)\]\[[^\]]*\])", text))
    assert len(seen) >= 6
    for message, code in seen:
        assert str(failure(int(code))) == message + " "


@pytest.mark.parametrize(("fault", "sign"), [("crash-in-batch-2", -11), ("slow-chip", 0)])
def test_faults(program: Program, fault: str, sign: int) -> None:
    code = (
        PRELUDE
        + "s = S(); [s.run(N(s), [D(x)]) for _ in range(3)]; print(len(s.sumary().exec_time_list))"
    )
    assert program("-c", code, env={"PORTPROOF_REHEARSAL_FAULT": fault}).returncode == sign
