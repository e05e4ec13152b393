"""The backend ``om`` against the strict double of aclruntime: what it passes, what it checks
itself, and what it makes of every error.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from portproof.backend import LoadRequest, default_for, find
from portproof.core.errors import InputError, PortProofError, ToolError
from portproof.infer.backends import om
from portproof.infer.runtimes.acl_errors import explained
from portproof.rehearsal.device import aclruntime as double


@pytest.fixture(autouse=True)
def simulated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aclruntime", double)
    monkeypatch.setenv("PORTPROOF_REHEARSAL", "1")


def images(count: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(count).normal(size=(count, 3, 4, 4)).astype(np.float32)


@pytest.fixture
def expected(tiny_onnx: Path) -> Any:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(tiny_onnx))
    return lambda batch: session.run(None, {"image": batch})[0]


def test_it_is_the_backend_of_om_files() -> None:
    assert default_for(Path("m.om")) == "om"
    assert find("om").PACKAGES == ("aclruntime",)


def test_a_static_model(om_models: Path, expected: Any) -> None:
    session = om.load(om_models / "bs4.om", LoadRequest(4))
    assert [(s.name, s.dtype, s.shape) for s in session.inputs] == [
        ("image", "float32", (4, 3, 4, 4))
    ]
    assert [(s.name, s.dtype, s.shape) for s in session.outputs] == [("class", "float32", (4, 10))]
    assert (session.device, session.precision, session.provider, session.boundaries) == (
        "npu:0",
        "fp16",
        "aclruntime REHEARSAL",
        ("device",),
    )
    batch = images(4)
    results = session.run({"image": batch})
    np.testing.assert_array_equal(results["class"], expected(batch))
    kept = results["class"].copy()
    session.run({"image": images(4) * 2})
    np.testing.assert_array_equal(results["class"], kept)
    assert 0 < session.reported_s("device") < 5
    session.close()


def test_the_device_time_is_that_of_the_last_run_and_the_list_stays_short(om_models: Path) -> None:
    session = om.load(om_models / "bs1.om", LoadRequest(1))
    for _ in range(3):
        session.run({"image": images(1)})
    last = session._native.sumary().exec_time_list[-1]
    assert session.reported_s("device") == pytest.approx(last / 1000)
    assert session._native.sumary().exec_time_list == []


def test_several_inputs_and_outputs_of_all_dtypes(om_models: Path) -> None:
    session = om.load(om_models / "multi.om", LoadRequest(2))
    results = session.run({"y": np.full((2, 1), 3, np.int64), "x": np.ones((2, 4), np.float32)})
    assert {name: (a.dtype.name, a.reshape(2, -1)[0, 0].item()) for name, a in results.items()} == {
        "total": ("float32", 4.0),
        "half": ("float16", 4.0),
        "twice": ("int64", 6),
        "more": ("bool", True),
        "dbl": ("float64", 4.0),
    }


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({"picture": images(1)}, r"inputs are \['image'\], but \['picture'\] were given"),
        ({"image": images(1).view(np.int32)}, "input 'image' is int32, the model takes float32"),
        ({"image": images(1).reshape(-1)}, r"has the shape \(48,\)"),
        ({"image": images(1).transpose(0, 1, 3, 2)}, "is not C-contiguous"),
    ],
    ids=["name", "dtype with the same bytes", "shape with the same bytes", "strides"],
)
def test_what_the_library_would_accept_in_silence_is_refused(
    om_models: Path, feeds: dict[str, Any], message: str
) -> None:
    session = om.load(om_models / "bs1.om", LoadRequest(1))
    with pytest.raises(InputError, match=message):
        session.run(feeds)


@pytest.mark.parametrize("name", ["dymbatch", "dymdims"])
def test_a_model_with_gears_gets_its_batch(om_models: Path, expected: Any, name: str) -> None:
    session = om.load(om_models / f"{name}.om", LoadRequest(4))
    assert session.inputs[0].shape == (4, 3, 4, 4)
    assert session.outputs[0].shape == (None, 10)
    batch = images(4)
    np.testing.assert_array_equal(session.run({"image": batch})["class"], expected(batch))
    with pytest.raises(
        InputError,
        match=(
            r"refused the batch, dimensions or shape asked for: \[1\]\[ACL: invalid parameter\]: it"
            r" is not one of those"
        ),
    ):
        om.load(om_models / f"{name}.om", LoadRequest(5))


def test_dimensions_can_be_chosen(om_models: Path) -> None:
    session = om.load(om_models / "dymdims.om", LoadRequest(8, options={"dims": "image:8,3,4,4"}))
    assert session.inputs[0].shape == (8, 3, 4, 4)
    with pytest.raises(InputError, match=r"\[-1\]"):
        om.load(om_models / "dymdims.om", LoadRequest(3, options={"dims": "image:3,3,4,4"}))


def test_a_dynamic_shape_model_takes_the_shape_that_is_chosen_and_none_by_itself(
    om_models: Path, expected: Any
) -> None:
    with pytest.raises(InputError, match="takes any shape of its range; choose one with --option"):
        om.load(om_models / "dymshape.om", LoadRequest(2, card="any"))
    for count in (2, 1, 3):
        options = {"shape": f"image:{count},3,4,4"}
        session = om.load(om_models / "dymshape.om", LoadRequest(count, options=options))
        batch = images(count)
        np.testing.assert_array_equal(session.run({"image": batch})["class"], expected(batch))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", r"is no JSON \(Expecting"),
        ("", r"is no JSON \(Expecting"),
        ("[" * 5000, r"is no JSON \(too deep\)"),
        ("[]", "is no JSON object"),
    ],
)
def test_a_broken_configuration_is_refused_before_the_library_sees_it(
    om_models: Path, tmp_path: Path, text: str, words: str
) -> None:
    (tmp_path / "acl.json").write_text(text)
    options = {"acl_json": str(tmp_path / "acl.json")}
    with pytest.raises(InputError, match=words):
        om.load(om_models / "bs1.om", LoadRequest(1, options=options))


@pytest.mark.parametrize("name", ["profiler", "dump"])
def test_a_configuration_that_slows_the_model_down_is_named(
    om_models: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "acl.json").write_text(json.dumps({name: {"switch": "on"}}))
    options = {"acl_json": str(tmp_path / "acl.json")}
    om.load(om_models / "bs1.om", LoadRequest(1, options=options)).close()
    assert f"has '{name}': times taken with it" in capsys.readouterr().err


def test_an_output_whose_size_depends_on_the_data_is_refused(
    om_models: Path, tmp_path: Path
) -> None:
    data = (om_models / "bs1.om").read_bytes()
    old = b'"dtype":"float32","shape":[1,10]}'
    assert data.count(old) == 1
    (tmp_path / "nms.om").write_bytes(data.replace(old, b'"dtype":"float32","shape":[1,-1]}'))
    with pytest.raises(InputError, match=r"has the shape \(1, -1\) .*depends on the data"):
        om.load(tmp_path / "nms.om", LoadRequest(1))


@pytest.mark.parametrize(
    ("file", "request_", "kind", "message"),
    [
        ("none.om", LoadRequest(), InputError, "offline model: '.*none.om' does not exist"),
        (
            "garbage.om",
            LoadRequest(),
            InputError,
            (
                r"could not be loaded on NPU device 0: \[1\]\[ACL: invalid parameter\]: the file is"
                r" damaged, or"
            ),
        ),
        (
            "bs1.om",
            LoadRequest(device="npu:7"),
            InputError,
            r"on NPU device 7: \[107001\]\[Error code unknown\]: there is no such device",
        ),
        ("bs1.om", LoadRequest(device="cuda:0"), InputError, "the device is 'cuda:0', 'npu:0'"),
        ("bs1.om", LoadRequest(threads=2), InputError, "has no --threads"),
        (
            "bs1.om",
            LoadRequest(precision="fp32"),
            InputError,
            "was converted for fp16, --precision asks for fp32",
        ),
        ("bs1.om", LoadRequest(options={"speed": "1"}), InputError, "has no option 'speed'"),
        (
            "bs1.om",
            LoadRequest(options={"shape": "image:1,3,4,4"}),
            InputError,
            "has no dynamic shape",
        ),
        (
            "dymbatch.om",
            LoadRequest(options={"outsize": "x"}),
            InputError,
            "the option outsize is 'x'",
        ),
        (
            "dymdims.om",
            LoadRequest(options={"dims": "a:1", "hw": "1,2"}),
            InputError,
            "only one can be given",
        ),
    ],
)
def test_what_cannot_be_loaded(
    om_models: Path, file: str, request_: LoadRequest, kind: type[PortProofError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        om.load(om_models / file, request_)


def test_a_session_belongs_to_its_thread(om_models: Path) -> None:
    session = om.load(om_models / "bs1.om", LoadRequest(1))
    caught: list[Exception] = []

    def use() -> None:
        try:
            session.run({"image": images(1)})
        except Exception as error:
            caught.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert [type(e) for e in caught] == [ToolError]
    assert "was loaded in another thread" in str(caught[0])


def test_a_failed_run_is_a_sentence_with_the_code_and_the_session_stays_usable(
    om_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = om.load(om_models / "bs1.om", LoadRequest(1))
    monkeypatch.setenv("PORTPROOF_REHEARSAL_FAULT", "size-mismatch")
    with pytest.raises(
        ToolError,
        match=(
            r"failed while it ran: \[-1\]\[ACL: general failure\]: an input has another number of"
            r" bytes"
        ),
    ):
        session.run({"image": images(1)})
    monkeypatch.delenv("PORTPROOF_REHEARSAL_FAULT")
    assert session.run({"image": images(1)})["class"].shape == (1, 10)


@pytest.mark.parametrize("code", [-1, 1, 1004, 3011, 100001, 107001, 107002, 145000])
@pytest.mark.parametrize("phase", ["loading", "choosing", "running"])
def test_every_error_becomes_a_sentence_with_its_code(code: int, phase: str) -> None:
    flags = {phase: True} if phase != "running" else {}
    error = explained(RuntimeError(f"[{code}][Text of the library] "), "it failed", **flags)
    assert str(error).startswith(f"it failed: [{code}][Text of the library]: ")
    assert len(str(error).rpartition("]: ")[2]) > 20
    assert error.exit_code in (2, 3)


def test_an_error_of_another_form_is_shown_as_it_is() -> None:
    assert "aclruntime says 'out of memory'" in str(
        explained(RuntimeError("out of\n memory"), "it failed")
    )


class NewerSession:
    """The spellings of newer releases: ``summary`` returns a plain list, and there is no
    ``finalize``.
    """

    def summary(self) -> list[float]:
        return [1.5, 2.5]

    def reset_summaryinfo(self) -> None:
        self.was_reset = True


def test_newer_spellings() -> None:
    session = om.OmSession.__new__(om.OmSession)
    session._native, session._model = NewerSession(), Path("m.om")
    assert session.reported_s("device") == 0.0025
    assert session._native.was_reset


def test_the_simulated_library_is_refused_outside_a_rehearsal(
    om_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PORTPROOF_REHEARSAL")
    with pytest.raises(InputError, match="is the simulated one; it works in a rehearsal only"):
        om.load(om_models / "bs1.om", LoadRequest(1))


def test_a_missing_library_is_a_sentence(om_models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aclruntime", None)
    with pytest.raises(InputError, match=r"aclruntime is not installed for .*not from PyPI"):
        om.load(om_models / "bs1.om", LoadRequest(1))


def test_a_library_that_cannot_be_loaded_says_to_source_cann(
    om_models: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delitem(sys.modules, "aclruntime")
    (tmp_path / "aclruntime.py").write_text(
        "raise ImportError('libascendcl.so: cannot open shared object file')"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ToolError, match=r"libascendcl.so.*source the CANN environment first"):
        om.load(om_models / "bs1.om", LoadRequest(1))


FINALIZE = """
import json, sys
from pathlib import Path
from portproof.rehearsal.device import aclruntime
sys.modules["aclruntime"] = aclruntime
calls = []
native = aclruntime.InferenceSession.finalize
def finalize(self):
    calls.append(native(self)); print("CALLS", json.dumps(calls), file=sys.stderr)
aclruntime.InferenceSession.finalize = finalize
import numpy as np
from portproof.backend import LoadRequest
from portproof.infer.backends import om
for name in ("bs1", "bs4"):
    session = om.load(Path(sys.argv[1], name + ".om"), LoadRequest(int(name[2:])))
    session.run({"image": np.zeros((int(name[2:]), 3, 4, 4), np.float32)})
    session.close()
assert not calls
"""


def test_acl_is_ended_once_when_the_process_ends(om_models: Path, root: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(root / "src"), "PORTPROOF_REHEARSAL": "1"}
    done = subprocess.run(
        [sys.executable, "-c", FINALIZE, str(om_models)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert [
        json.loads(line[6:]) for line in done.stderr.splitlines() if line.startswith("CALLS ")
    ] == [[0]]
    assert "[ERROR]" not in done.stdout


def test_only_what_the_real_module_has_is_used() -> None:
    """Every attribute of aclruntime's that the backend touches is in the introspected interface."""
    real = {"InferenceSession", "session_options", "BaseTensor"}
    source = Path(om.__file__).read_text()
    used = {
        part.split("(")[0].split(")")[0].split(".")[0]
        for part in source.replace("self._module.", "module.").split("module.")[1:]
    }
    assert {u for u in used if u.isidentifier()} - {"import_module"} == real
    assert isinstance(double, ModuleType)
