"""The backend ``torch_npu`` over strict doubles of ``torch_npu`` and ``torchair``: what is asked of
them, in which order, and what is refused.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from portproof.backend import LoadRequest, find
from portproof.convert.pytorch import models as building
from portproof.core.errors import InputError, ToolError
from portproof.infer.runtimes.torch_session import TorchSession
from portproof.infer.timing.processes.clock import time_calls

sys.path.insert(0, str(Path(__file__).parents[2] / "doubles"))
double = importlib.import_module("torch_npu_double")
FEEDS = {"image": np.zeros((2, 3, 2, 2), np.float32)}


class Net(torch.nn.Module):
    """Notes where it goes; ``without_kernel`` is an operator that the NPU does not have."""

    without_kernel: str | None = None

    def __init__(self, npu: Any) -> None:
        super().__init__()
        self.npu, self.linear = npu, torch.nn.Linear(12, 5)

    def to(self, device: str, dtype: torch.dtype) -> Any:  # type: ignore[override]
        self.npu.history.append(f"to {device}")
        return super().to(dtype=dtype)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.npu.history.append(f"forward {x.dtype}".replace("torch.", ""))
        if self.without_kernel:
            double.fall_back(self.without_kernel)
        return self.linear(x.flatten(1))  # type: ignore[no-any-return]


@pytest.fixture
def npu(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A host with two NPU devices."""
    npu = double.install(monkeypatch)
    monkeypatch.setattr(building, "build_model", lambda card, model: Net(npu))
    monkeypatch.setattr(
        TorchSession, "_to_device", lambda self, array: torch.from_numpy(array).to(self._dtype)
    )
    monkeypatch.setattr(Net, "without_kernel", None)
    return npu


def load(tiny: Any, **request: Any) -> Any:
    card = str(tiny.folder / "card.yaml")
    return find("torch_npu").load(Path("w.pth"), LoadRequest(card=card, **request))


@pytest.mark.parametrize(
    ("precision", "computed", "returned"),
    [(None, "float32", "float32"), ("fp16", "float16", "float16"), ("bf16", "bfloat16", "float32")],
)
def test_the_forward_pass_stands_between_two_events_and_fp32_is_fp32(
    npu: Any, tiny: Any, precision: str | None, computed: str, returned: str
) -> None:
    session = load(tiny, device="npu:1", precision=precision)
    assert npu.history == ["set 1", "to npu:1"]
    assert not npu.conv.allow_hf32 and not npu.matmul.allow_hf32
    assert (session.device, session.boundaries) == ("npu:1", ("device",))
    assert session.provider == f"torch_npu {double.VERSION}, HF32 off, eager"
    npu.history.clear()
    assert session.run(FEEDS)["class"].dtype == returned
    assert npu.history == ["event", f"forward {computed}", "event"]
    assert time_calls(session, [FEEDS], 3)["device"] == [0.002] * 3
    assert "synchronize npu:1" in npu.history
    session.close()
    assert npu.history[-1] == "empty"


def test_the_first_device_is_the_usual_one(npu: Any, tiny: Any) -> None:
    assert load(tiny).device == "npu:0"


@pytest.mark.parametrize(
    ("device", "said"),
    [
        ("cpu", "runs on an Ascend NPU: --device is 'cpu', 'npu:0' was expected"),
        ("cuda:0", "runs on an Ascend NPU"),
        ("npu:2", "sees 2 NPU devices, --device asks for npu:2; nothing falls back"),
        ("npu:x", "sees 2 NPU devices"),
    ],
)
def test_a_device_that_is_not_there_is_no_other_one(
    npu: Any, tiny: Any, device: str, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        load(tiny, device=device)


def test_no_operator_goes_to_the_processor_in_silence(
    npu: Any, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Net, "without_kernel", "aten::nonzero")
    with pytest.raises(ToolError, match="no kernel for aten::nonzero and computes it on the host"):
        load(tiny).run(FEEDS)
    session = load(tiny, options={"fallback": "cpu"})
    assert session.provider.endswith("HF32 off, eager, the CPU where it has no kernel")
    with pytest.warns(UserWarning, match="fall back to run on the CPU"):
        session.run(FEEDS)


def test_other_warnings_are_passed_on_and_later_calls_are_not_watched(
    npu: Any, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = load(tiny)
    monkeypatch.setattr(double, "fall_back", lambda name: warn(name))
    monkeypatch.setattr(Net, "without_kernel", "slow layout")

    def warn(text: str) -> None:
        import warnings

        warnings.warn(text, UserWarning, stacklevel=2)

    for _ in range(2):
        with pytest.warns(UserWarning, match="slow layout"):
            session.run(FEEDS)


def test_a_graph_is_torchairs_for_one_batch(
    npu: Any, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(torch, "compile", lambda module, **given: asked.append(given) or module)
    session = load(tiny, options={"mode": "graph"}, batch=2)
    (given,) = asked
    assert isinstance(given.pop("backend"), double.NpuBackend)
    # TorchAir takes neither 'mode' nor 'options' of torch.compile.
    assert given == {"dynamic": False}
    assert session.provider.endswith("HF32 off, TorchAir graph")
    assert [spec.shape[0] for spec in session.inputs] == [2]
    assert session.run(FEEDS)["class"].shape == (2, 5)


def test_without_a_package_it_says_which_and_how(
    monkeypatch: pytest.MonkeyPatch, tiny: Any
) -> None:
    monkeypatch.setitem(sys.modules, "torch_npu", None)
    with pytest.raises(InputError, match=r"'torch_npu' is not installed here .*set_env\.sh"):
        load(tiny)
    monkeypatch.undo()
    npu = double.install(monkeypatch, with_graphs=False)
    monkeypatch.setattr(building, "build_model", lambda card, model: Net(npu))
    monkeypatch.setitem(sys.modules, "torchair", None)
    with pytest.raises(InputError, match="'torchair' is not installed here"):
        load(tiny, options={"mode": "graph"})


def test_without_cann_it_is_the_tool_that_fails(monkeypatch: pytest.MonkeyPatch, tiny: Any) -> None:
    class Broken:
        def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
            if name == "torch_npu":
                raise ImportError("libascendcl.so: cannot open shared object file")

    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    monkeypatch.delitem(sys.modules, "torch_npu", raising=False)
    with pytest.raises(ToolError, match=r"does not load here \(libascendcl.so.*set_env"):
        load(tiny)


@pytest.mark.parametrize("options", [{"mode": "fast"}, {"fallback": "yes"}, {"jit": "on"}])
def test_options_are_checked(npu: Any, tiny: Any, options: dict[str, str]) -> None:
    with pytest.raises(InputError, match=r"was expected|has no option 'jit'"):
        load(tiny, options=options)
