"""Configurations in the fields of Blade's perf_run (``backend``, ``input``, ``model``,
``runtime``), read as a suite of one model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from portproof.card import find_card
from portproof.core.errors import InputError
from portproof.core.yamlfile import data_folder, load_yaml
from portproof.infer.suites.suite_file import Suite, SuiteModel, SuiteSubject
from portproof.preprocess.cards.resolve import resolve_card

#: Their words for backends, and ours beside them.
_BACKENDS = {
    "torch": "eager",
    "torch_tensorrt": "torch-tensorrt",
    "tensorrt": "trt",
    "inductor": "inductor",
    "ort": "ort",
    "openvino": "openvino",
}
_ALL = ("torch", "torch_tensorrt", "tensorrt")
_PRECISIONS = {"fp32": "fp32", "fp16": "fp16", "half": "fp16", "int8": "int8"}


class _Model(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    name: str
    filename: str | None = None


class _Runtime(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    device: int | str = 0
    precision: str | tuple[str, ...] = "fp32"
    calibration_cache: str | None = None


class _Fields(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A configuration. ``input`` holds ``num_inputs``, and ``input0``, ``input1`` ... with the
    shape of one sample each.
    """

    backend: str | tuple[str, ...]
    input: dict[str, int | tuple[int, ...]]
    model: _Model
    runtime: _Runtime = _Runtime()

    @property
    def backends(self) -> tuple[str, ...]:
        """The words for backends, one by one."""
        named = (self.backend,) if isinstance(self.backend, str) else self.backend
        return tuple(dict.fromkeys(b for n in named for b in (_ALL if n == "all" else (n,))))

    @property
    def precisions(self) -> tuple[str, ...]:
        """The words for precisions."""
        asked = self.runtime.precision
        return (asked,) if isinstance(asked, str) else asked


def has_them(path: Path) -> bool:
    """Whether a YAML file is such a configuration."""
    content = load_yaml(path, Any, "suite")
    return isinstance(content, dict) and {"backend", "model"} <= set(content)


def read(path: Path) -> Suite:
    """The configuration as a suite; :class:`InputError` for what cannot be run as it is asked."""
    fields = load_yaml(path, _Fields, "configuration")
    for word in (*fields.backends, *fields.precisions):
        if word not in _BACKENDS and word not in _PRECISIONS and word != "torch_blade":
            raise InputError(
                f"configuration '{path}': '{word}' is not known; the backends are all,"
                f" {', '.join(_BACKENDS)}, the precisions {', '.join(_PRECISIONS)}"
            )
    if "all" in fields.backend and "int8" in fields.precisions:
        raise InputError(
            f"configuration '{path}': int8 cannot be used with the backend 'all', since PyTorch has"
            " no int8 here; name the backends"
        )
    if fields.runtime.calibration_cache is not None:
        raise InputError(
            f"configuration '{path}': a calibration cache is read by trtexec only (convert/"
            "onnx2trt.py --calibration); here int8 is calibrated on samples: leave it out"
        )
    if str(fields.model.filename or "").endswith(".jit.pt"):
        raise InputError(
            f"configuration '{path}': a TorchScript module ('{fields.model.filename}') has no"
            " names and shapes of its outputs, so it is not read: leave 'filename' out, and let"
            " 'name' be a model card of its source"
        )
    if "torch_blade" in fields.backends:
        raise InputError(
            f"configuration '{path}': there is no backend for Torch-Blade; leave it out, or name"
            " inductor, which compiles the same module"
        )
    model = _card_of(fields.model.name)
    _check_shapes(path, fields, model)
    return Suite(
        about=f"The configuration {path.name} of {fields.model.name}.",
        form="blade",
        models=(SuiteModel(model=model, title=fields.model.name),),
        subjects=tuple(_subjects(path, fields)),
        batches=(1,),
    )


def _card_of(name: str) -> str:
    """The card that a model's name means: one of the suites', one of ours, or torchvision's."""
    own = data_folder("suites") / "models" / f"{name}.yaml"
    if own.is_file():
        return str(own)
    try:
        return str(find_card(name))
    except InputError:
        return f"torchvision:{name}" if ":" not in name else name


def _check_shapes(path: Path, fields: _Fields, model: str) -> None:
    """The shapes that are written must be the model's: it would be another measurement."""
    written = [v for k, v in fields.input.items() if k.startswith("input")]
    wanted = [tuple(i.shape) for i in resolve_card(model).inputs]
    count = fields.input.get("num_inputs", len(written))
    if (
        count != len(written)
        or [tuple(w) if isinstance(w, tuple) else () for w in written] != wanted
    ):
        raise InputError(
            f"configuration '{path}': the inputs are {written} (num_inputs {count}), the model"
            f" {fields.model.name} takes {wanted} a sample; correct 'input'"
        )


def _subjects(path: Path, fields: _Fields) -> list[SuiteSubject]:
    """Precision by precision, backend by backend."""
    device = fields.runtime.device
    where = f"cuda:{device}" if isinstance(device, int) else device
    found = []
    for word in fields.precisions:
        for name in fields.backends:
            backend, precision = _BACKENDS[name], _PRECISIONS[word]
            own = fields.model.filename if backend == "trt" else None
            if backend == "eager" and precision == "int8":
                raise InputError(
                    f"configuration '{path}': PyTorch has no int8 here; leave torch out for int8"
                )
            found.append(
                SuiteSubject(
                    label=f"{name} {precision}",
                    backend=backend,
                    device=where if backend not in ("ort", "openvino", "trt") else None,
                    precision=precision,
                    file=str(path.parent / own) if own else None,
                )
            )
    return found
