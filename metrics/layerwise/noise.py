"""How much of a layer's error the port's own rounding explains: the noise ruler by tensor."""

from __future__ import annotations

import contextlib
import math
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from portproof.convert.precision.int8 import write_int8
from portproof.core.errors import InputError
from portproof.manifest import Sample
from portproof.metrics.layerwise.graph import Layered, Tensor
from portproof.metrics.layerwise.modules import Modules
from portproof.metrics.layerwise.probe import Probe
from portproof.metrics.outputs.judge import RESOLUTION
from portproof.metrics.outputs.ruler import PRECISIONS

#: Relative errors that one rounding explains: half a unit in the last place of float32 (as the
#: ruler has it), float16 and bfloat16, and half a step of 255 over values of which most are small.
UNITS = {"fp32": RESOLUTION, "fp16": 2.0**-11, "bf16": 2.0**-8, "int8": 2.0**-7}

#: Rounding explains no more, whatever the ruler shows: a port that loses half of its numbers is
#: broken although any port of this precision would be.
MOST_EXPLAINED = 0.15


@contextlib.contextmanager
def rounded_side(
    side: Layered, precision: str, samples: Sequence[Sample], card: str | None
) -> Iterator[Layered | None]:
    """The same model with its numbers rounded to the port's precision; None where it cannot be run
    here, or not in that precision.
    """
    if precision not in PRECISIONS:
        raise InputError(
            f"the precision is '{precision}', one of {', '.join(PRECISIONS)} was expected"
        )
    if isinstance(side, Modules) and precision != "int8":
        yield Modules(side.path, card, precision)
    elif not isinstance(side, Probe) or side.precision != "fp32":
        yield None
    elif precision != "int8":
        yield Probe(side.path, card, precision)
    elif samples:
        with tempfile.TemporaryDirectory(prefix="portproof-") as folder:
            draft = Path(folder, "int8.onnx")
            write_int8(side.path, list(samples), "minmax", draft, Path(folder))
            yield Probe(draft, card)
    else:
        yield None


def by_depth(tensors: Sequence[Tensor], precision: str) -> dict[str, float]:
    """What rounding explains where no model can be rounded here: independent errors of one unit an
    operator add up in squares over the operators before a tensor.
    """
    depth: dict[str, int] = {}
    for tensor in tensors:
        depth[tensor.name] = 1 + max((depth.get(name, 0) for name in tensor.reads), default=0)
    return {name: UNITS[precision] * math.sqrt(n) for name, n in depth.items()}
