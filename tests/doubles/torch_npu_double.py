"""Doubles of ``torch_npu`` and ``torchair``, to what their documentation says of them (Ascend
Extension for PyTorch 6.0 to 7.3; TorchAir's guide): names, signatures, defaults, and the order in
which they are imported. Everything else is refused, so that a call that the real ones would not
take fails here too. Tensors stay on the processor.
"""

from __future__ import annotations

import sys
import types
import warnings
from collections.abc import Callable
from typing import Any

import torch

VERSION = "2.1.0.post10"


class Flag:
    """``torch.npu.conv`` and ``torch.npu.matmul``: one flag each, and nothing else."""

    __slots__ = ("_on",)

    def __init__(self, on: bool) -> None:
        object.__setattr__(self, "_on", on)

    def __getattr__(self, name: str) -> bool:
        assert name == "allow_hf32", f"there is no flag '{name}'"
        return bool(object.__getattribute__(self, "_on"))

    def __setattr__(self, name: str, value: bool) -> None:
        assert name == "allow_hf32" and isinstance(value, bool)
        object.__setattr__(self, "_on", value)


class Npu:
    """``torch.npu``: two devices; ``history`` holds what was asked, in order."""

    def __init__(self, devices: int) -> None:
        self.history: list[str] = []
        self._devices, self._current = devices, 0
        # The documented defaults.
        self.conv, self.matmul = Flag(True), Flag(False)

    def is_available(self) -> bool:
        return self._devices > 0

    def device_count(self) -> int:
        return self._devices

    def set_device(self, device: int) -> None:
        assert isinstance(device, int) and device < self._devices
        self._current = device
        self.history.append(f"set {device}")

    def synchronize(self, device: str | None = None) -> None:
        assert device == f"npu:{self._current}", "another device than the current one"
        self.history.append(f"synchronize {device}")

    def empty_cache(self) -> None:
        self.history.append("empty")

    def Event(
        self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False
    ) -> Event:
        assert enable_timing, "an event without timing measures nothing"
        return Event(self)


class Event:
    """Two of them are 2 ms apart."""

    def __init__(self, npu: Npu) -> None:
        self._npu, self._recorded = npu, False

    def record(self, stream: None = None) -> None:
        self._recorded = True
        self._npu.history.append("event")

    def elapsed_time(self, end_event: Event) -> float:
        assert self._recorded and end_event._recorded
        return 2.0


class CompilerConfig:
    """What a graph is compiled with; only its defaults are used."""


class NpuBackend:
    """What ``get_npu_backend`` gives: a backend for ``torch.compile``."""

    def __call__(self, graph: Any, inputs: list[Any]) -> Any:
        raise AssertionError("torch.compile itself is doubled")


def fall_back(name: str) -> None:
    """The warning for an operator that the NPU has no kernel for, in torch_npu's words."""
    warnings.warn(
        f"CAUTION: The operator '{name}' is not currently supported on the NPU backend and will"
        " fall back to run on the CPU. This may have performance implications. (function"
        " npu_cpu_fallback)",
        UserWarning,
        stacklevel=2,
    )


def install(monkeypatch: Any, devices: int = 2, with_graphs: bool = True) -> Npu:
    """Put the doubles where imports find them. As with the real ones, ``torch.npu`` is there only
    once ``torch_npu`` was imported, and ``torchair`` wants that first.
    """
    npu = Npu(devices)
    package = types.ModuleType("torch_npu")
    package.__version__ = VERSION  # type: ignore[attr-defined]
    finders = {"torch_npu": lambda: _attach(monkeypatch, npu, package)}
    if with_graphs:
        finders["torchair"] = _graphs
    monkeypatch.setattr(sys, "meta_path", [Finder(finders), *sys.meta_path])
    for name in ("torch_npu", "torchair"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return npu


def _attach(monkeypatch: Any, npu: Npu, package: types.ModuleType) -> types.ModuleType:
    monkeypatch.setattr(torch, "npu", npu, raising=False)
    return package


def _graphs() -> types.ModuleType:
    assert "torch_npu" in sys.modules, "torch_npu is imported before torchair"
    package = types.ModuleType("torchair")

    def get_npu_backend(
        *, compiler_config: CompilerConfig | None = None, custom_decompositions: Any = None
    ) -> NpuBackend:
        assert compiler_config is None or isinstance(compiler_config, CompilerConfig)
        return NpuBackend()

    package.CompilerConfig = CompilerConfig  # type: ignore[attr-defined]
    package.get_npu_backend = get_npu_backend  # type: ignore[attr-defined]
    return package


class Finder:
    """Makes a module when it is first imported."""

    def __init__(self, makers: dict[str, Callable[[], types.ModuleType]]) -> None:
        self._makers = makers

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        from importlib.machinery import ModuleSpec

        return ModuleSpec(name, self) if name in self._makers else None  # type: ignore[arg-type]

    def create_module(self, spec: Any) -> types.ModuleType:
        return self._makers[spec.name]()

    def exec_module(self, module: types.ModuleType) -> None:
        """Nothing is left to do."""
