"""The backends ``eager`` and ``inductor`` on CUDA, with the device itself replaced: what is asked
of PyTorch, in which order, and what is said.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
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


class Event:
    """Notes when it is recorded; two of them are 2 ms apart."""

    def __init__(self, enable_timing: bool) -> None:
        assert enable_timing, "an event without timing measures nothing"

    def record(self) -> None:
        history.append("event")

    def elapsed_time(self, end: Event) -> float:
        return 2.0


history: list[str] = []


class Net(torch.nn.Module):
    """Notes when it runs and in which type; ``to`` goes nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(12, 5)

    def to(self, device: str, dtype: torch.dtype) -> Any:  # type: ignore[override]
        history.append(f"to {device}")
        return super().to(dtype=dtype)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        history.append(f"forward {x.dtype}".replace("torch.", ""))
        return self.linear(x.flatten(1))  # type: ignore[no-any-return]


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch, tiny: Any) -> Iterator[Path]:
    """A host with two CUDA devices, and the weights of a model."""
    flags = (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    history.clear()
    answers = {
        "is_available": lambda: True,
        "device_count": lambda: 2,
        "set_device": lambda n: history.append(f"set {n}"),
        "synchronize": lambda device: history.append(f"synchronize {device}"),
        "empty_cache": lambda: history.append("empty"),
    }
    for name, answer in answers.items():
        monkeypatch.setattr(torch.cuda, name, answer)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(building, "build_model", lambda card, model: Net())
    monkeypatch.setattr(
        TorchSession, "_to_device", lambda self, array: torch.from_numpy(array).to(self._dtype)
    )
    yield tiny.folder / "card.yaml"
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = flags


def load(card: Path, **request: Any) -> Any:
    return find("eager").load(
        Path("w.pth"), LoadRequest(card=str(card), **{"device": "cuda:1"} | request)
    )


@pytest.mark.parametrize(
    ("precision", "computed", "returned"),
    [(None, "float32", "float32"), ("fp16", "float16", "float16"), ("bf16", "bfloat16", "float32")],
)
def test_the_forward_pass_stands_between_two_events_in_its_precision(
    cuda: Path, precision: str | None, computed: str, returned: str
) -> None:
    session = load(cuda, precision=precision)
    assert history == ["set 1", "to cuda:1"]
    assert (session.device, session.precision, session.boundaries) == (
        "cuda:1",
        precision or "fp32",
        ("device",),
    )
    assert (session.provider, session.outputs[0].dtype) == ("CUDA 13.0, TF32 off", returned)
    assert not torch.backends.cuda.matmul.allow_tf32
    assert not torch.backends.cudnn.allow_tf32
    history.clear()
    feeds = {"image": np.zeros((2, 3, 2, 2), np.float32)}
    assert session.run(feeds)["class"].dtype == returned
    assert history == ["event", f"forward {computed}", "event"]
    times = time_calls(session, [feeds], 3)
    assert times["device"] == [0.002] * 3
    assert "synchronize cuda:1" in history
    session.close()
    assert history[-1] == "empty"


def test_a_device_without_a_number_is_the_first(cuda: Path) -> None:
    assert load(cuda, device="cuda").device == "cuda:0"
    assert history[0] == "set 0"


@pytest.mark.parametrize("device", ["cuda:2", "cuda:x", "npu:0"])
def test_a_device_that_is_not_there_is_no_other_one(cuda: Path, device: str) -> None:
    with pytest.raises(InputError, match=f"--device asks for {device}"):
        load(cuda, device=device)


def test_what_the_device_fails_with_is_one_sentence(
    cuda: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def out_of_memory(self: Any, x: Any) -> Any:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2 GiB")

    session = load(cuda)
    monkeypatch.setattr(Net, "forward", out_of_memory)
    with pytest.raises(
        ToolError, match=r"PyTorch failed while it ran the model: CUDA out of memory\. Tried"
    ):
        session.run({"image": np.zeros((1, 3, 2, 2), np.float32)})


def test_inductor_says_its_modes_and_what_it_runs_on(
    cuda: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(torch, "compile", lambda module, **options: asked.append(options) or module)
    request = LoadRequest(
        card=str(cuda), device="cuda:0", precision="fp16", options={"mode": "reduce-overhead"}
    )
    session = find("inductor").load(Path("w.pth"), request)
    assert (session.provider, session.precision) == ("CUDA 13.0, TF32 off", "fp16")
    assert asked == [{"mode": "reduce-overhead", "dynamic": False}]
    with pytest.raises(
        InputError, match="the option mode is 'fast', one of default, reduce-overhead"
    ):
        find("inductor").load(Path("w.pth"), LoadRequest(card=str(cuda), options={"mode": "fast"}))


def test_without_torch_both_say_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in ("eager", "inductor"):
        with pytest.raises(InputError, match=r"pip install 'portproof\[models\]'"):
            find(name).load(Path("w.pth"), LoadRequest(card="c.yaml"))
