"""The doubles of NVIDIA's packages against the packages themselves, where they are installed: a
double that knows more than they do proves nothing.
"""

from __future__ import annotations

import enum
import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

DOUBLES = Path(__file__).resolve().parent


@pytest.fixture
def doubles(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The doubles can be imported; nothing of them stays."""
    monkeypatch.syspath_prepend(str(DOUBLES))
    yield
    importlib.import_module("cuda_double").forget()


def members(kind: Any) -> dict[str, Any]:
    return dict(kind.__members__)


def parameters(function: Any) -> list[str]:
    """The parameters' names, from the signature or, of compiled functions, from the first line of
    the docstring.
    """
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        (inside,) = re.findall(r"\((.*)\)", function.__doc__.splitlines()[0])
        return [
            re.split(r"[:=]", word)[0].split()[-1] for word in inside.split(",") if word.strip()
        ]


def test_cuda_python(doubles: None) -> None:
    real = pytest.importorskip("cuda.bindings.runtime")
    double = importlib.import_module("cuda_double")
    functions = [
        n for n in vars(double) if n.startswith("cuda") and inspect.isfunction(getattr(double, n))
    ]
    assert len(functions) > 15
    for name in functions:
        assert len(parameters(getattr(double, name))) == len(parameters(getattr(real, name))), name
    for name in [
        n for n in vars(double) if n.startswith("cuda") and inspect.isclass(getattr(double, n))
    ]:
        for member, value in members(getattr(double, name)).items():
            assert int(getattr(getattr(real, name), member)) == value.value, (name, member)
    assert (double.cudaStreamNonBlocking, double.cudaHostAllocDefault) == (
        real.cudaStreamNonBlocking,
        real.cudaHostAllocDefault,
    )


def test_torch(doubles: None) -> None:
    import torch

    double = importlib.import_module("torch_double").torch_module()
    for name in vars(double.cuda):
        assert hasattr(torch.cuda, name), name
    for name in ("graph", "Event", "Stream"):
        ours = set(parameters(getattr(double.cuda, name))) - {"captured"}
        theirs = inspect.signature(
            getattr(torch.cuda, name).__init__
            if name == "graph"
            else getattr(torch.cuda, name).__new__
        )
        assert ours <= set(theirs.parameters), name
    assert {"replay"} <= set(dir(torch.cuda.CUDAGraph))
    assert {"record", "elapsed_time"} <= set(dir(torch.cuda.Event))


def test_nvml() -> None:
    real = pytest.importorskip("pynvml")
    spec = importlib.util.spec_from_file_location("nvml_double", DOUBLES / "pynvml.py")
    assert spec is not None
    assert spec.loader is not None
    double = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(double)
    for name in (
        *double.busy_t4(),
        "nvmlDeviceGetHandleByIndex",
        "nvmlDeviceGetHandleByUUID",
        "nvmlInit",
    ):
        assert callable(getattr(real, name)), name
    assert issubclass(real.NVMLError_NotSupported, real.NVMLError)


@pytest.mark.parametrize("package", ["tensorrt", "tensorrt_bindings", "tensorrt_lean_bindings"])
def test_tensorrt(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    real = pytest.importorskip(package)
    if Path(str(real.__file__)).is_relative_to(DOUBLES):
        pytest.skip("only the double is here")
    monkeypatch.setenv("TENSORRT_DOUBLE", real.__version__)
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    monkeypatch.syspath_prepend(str(DOUBLES))
    double = importlib.import_module("tensorrt")
    try:
        differences = list(compared(double, real))
    finally:
        importlib.import_module("cuda_double").forget()
    assert not differences


def compared(double: Any, real: Any) -> Iterator[str]:
    """What the double has and the real package has not, or has otherwise. Lean packages cannot
    build; what they lack wholly is passed over.
    """
    classes = {
        n: k
        for part in ("_types", "_building", "_running")
        for n, k in vars(sys.modules[f"tensorrt.{part}"]).items()
        if inspect.isclass(k)
    }
    for name, ours in classes.items():
        theirs = getattr(real, name, None)
        if theirs is None or not ours.__module__.startswith("tensorrt."):
            continue
        if issubclass(ours, enum.Enum):
            yield from (
                f"{name}.{m}"
                for m, v in members(ours).items()
                if m not in members(theirs) or int(members(theirs)[m]) != v.value
            )
            continue
        for attribute, function in vars(ours).items():
            if attribute.startswith("_"):
                continue
            if not hasattr(theirs, attribute):
                yield f"{name}.{attribute} does not exist"
            elif inspect.isfunction(function):
                documented = getattr(theirs, attribute).__doc__ or ""
                yield from (
                    f"{name}.{attribute}: {p}"
                    for p in parameters(function)
                    if p != "self" and not re.search(rf"\b{p}:", documented)
                )
