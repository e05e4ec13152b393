"""PortProof proves that a model port holds: the same answers, and the speed that is claimed.

The stages (``convert``, ``preprocess``, ``infer``, ``metrics``, ``reports``) are sub-packages. In
an installed package they are inside it; in a checkout they are beside ``src/``, so that ``python
convert/pth2onnx.py`` runs from a bare clone, and this file makes them importable as
``portproof.convert`` and so on.
"""

from __future__ import annotations

import os

__version__ = "0.2.0"

_HERE = os.path.dirname(os.path.abspath(__file__))
_CHECKOUT = os.path.dirname(os.path.dirname(_HERE))
if not os.path.isdir(os.path.join(_HERE, "convert")) and os.path.isfile(
    os.path.join(_CHECKOUT, "convert", "__init__.py")
):
    __path__.append(_CHECKOUT)

#: The Python API: name -> the module that defines it. Imported on first use, since most need numpy
#: and some need torch.
_API: dict[str, str] = {
    "export": "portproof.convert.export.export",
    "run": "portproof.infer.offline.inference",
    "bench": "portproof.infer.timing.job",
    "compare": "portproof.metrics.paired.compare",
    "evaluate": "portproof.metrics.evaluation.evaluate",
    "compare_by_task": "portproof.metrics.paired.by_task",
    "audit": "portproof.reports.claims.audit",
    "register_model": "portproof.convert.pytorch.registry",
    "Plan": "portproof.infer.timing.protocol",
    "InputError": "portproof.core.errors",
    "ToolError": "portproof.core.errors",
}


def __getattr__(name: str) -> object:
    """Import one name of the public API on first use."""
    if name not in _API:
        raise AttributeError(f"module 'portproof' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_API[name]), name)


def __dir__() -> list[str]:
    """Names of this module, the lazily imported API included."""
    return sorted([*globals(), *_API])
