"""Ranges of 8 bits in the port's own model file: how much of them its tensors use.

The file is the one that the result's sidecar names; nothing is said where it is not on this host
as it was then.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from portproof.core import progress
from portproof.core.errors import InputError, ToolError
from portproof.core.text import listed
from portproof.metrics.diagnosis.candidates import Candidate, Found, score_of
from portproof.metrics.diagnosis.likeness import SAME, Measure, Rows, unlikeness
from portproof.metrics.diagnosis.look import Compared
from portproof.metrics.diagnosis.model.changes import FIXES, Changed
from portproof.metrics.diagnosis.model.network import Array, Network
from portproof.metrics.diagnosis.model.origin import onnx_of
from portproof.metrics.diagnosis.reference import Reference

#: A range that is so many times too wide is a fault. Two times is what calibration on other samples
#: makes.
_WIDE = 3.5
#: Values that reach so many times as far as their range. Percentiles and entropy cut some off on
#: purpose: it is a fault only where it costs more than 8 bits do.
_NARROW = 1.5
#: With ranges as they should be the file leaves at most this share of its difference.
_BETTER = 0.5
#: From fewer samples nothing is said about ranges; so many are enough, some at a time.
_FEWEST, _MOST, _BATCH = 16, 256, 8
#: Rounds in which ranges that are too narrow are widened.
_ROUNDS = 4
#: What a narrower range has more than the samples need.
_MARGIN = 1.1
_CODES = {"int8": (-128, 127), "uint8": (0, 255)}
#: Operators that give 8 bits: where they read the scale, the zero point behind it.
_SCALE_AT = {"QLinearConv": 6, "QLinearMatMul": 6, "QLinearAdd": 6, "QLinearMul": 6, "QGemm": 7}
#: And where those of them that have a bias read it.
_BIAS_AT = {"QLinearConv": 8, "QGemm": 6}


@dataclass(frozen=True)
class Quantised:
    """A tensor that a file makes 8 bits of: its ``name``, the name of its ``codes``, that of its
    scale, the step, and the zero point with its type.
    """

    name: str
    codes: str
    scale: str
    step: float
    zero: int
    dtype: str

    def times_too_wide(self, low: int, high: int) -> float:
        """How many times the range is that of codes from ``low`` to ``high``. A range about zero
        has the same two ends.
        """
        least, most = _CODES[self.dtype]
        if self.zero == (least + most + 1) // 2:
            return 127 / max(high - self.zero, self.zero - low, 1)
        return (most - least) / max(max(high, self.zero) - min(low, self.zero), 1)

    def times_too_narrow(self, low: float, high: float) -> float:
        """How many times the values from ``low`` to ``high`` reach beyond an end of the range; an
        end at 0 is an activation.
        """
        ends = [(e - self.zero) * self.step for e in _CODES[self.dtype]]
        return max((v / e for v, e in zip((low, high), ends, strict=True) if e), default=0.0)


class Fit(NamedTuple):
    """How many times the range of a tensor is too wide for what it holds, and too narrow."""

    name: str
    wide: float
    narrow: float


class Eight(Network):
    """The port's file of 8 bits."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.path = path
        graph = self.model.graph
        for node in [n for n in graph.node if n.op_type == "Constant"]:
            value = next((a.t for a in node.attribute if a.name == "value"), None)
            if value is not None:
                value.name = node.output[0]
                graph.initializer.append(value)
                self.weights[value.name] = self._array(value)
                graph.node.remove(node)

    def quantised(self) -> Iterator[Quantised]:
        """Tensors of activations with one scale that stands in the file."""
        for node in self.model.graph.node:
            at = 1 if node.op_type == "QuantizeLinear" else _SCALE_AT.get(node.op_type, 0)
            if not at or len(node.input) <= at + 1:
                continue
            scale, zero = node.input[at], node.input[at + 1]
            name = node.input[0] if at == 1 else node.output[0]
            if name in self.weights or not {scale, zero} <= {*self.weights}:
                continue
            step, point = self.weights[scale], self.weights[zero]
            if step.size == point.size == 1 and str(point.dtype) in _CODES:
                yield Quantised(name, node.output[0], scale, float(step.item()), int(point.item()),
                                str(point.dtype))  # fmt: skip

    def fits(self, samples: Sequence[Array]) -> dict[str, Fit]:
        """By the name of its scale, how a range fits these samples. A scale that several tensors
        share has the widest of them to hold.
        """
        import onnx

        tensors = list(self.quantised())
        model, names = self.copy(), [n for t in tensors for n in (t.codes, t.name)]
        known = {o.name for o in model.graph.output} | {self.input}
        extra = [n for n in dict.fromkeys(names) if n not in known]
        model.graph.output.extend(onnx.ValueInfoProto(name=n) for n in extra)
        asked = [n for n in dict.fromkeys(names) if n != self.input]
        session = self.session(model)
        low, high = dict.fromkeys(names, np.inf), dict.fromkeys(names, -np.inf)
        for part in samples:
            made = dict(zip(asked, self._parts(session, {self.input: part}, asked, len(part)),
                            strict=True)) | {self.input: part}  # fmt: skip
            low |= {n: min(low[n], float(made[n].min())) for n in low}
            high |= {n: max(high[n], float(made[n].max())) for n in high}
        found: dict[str, Fit] = {}
        for t in tensors:
            wide = t.times_too_wide(int(low[t.codes]), int(high[t.codes]))
            narrow = 0.0 if t.codes == t.name else t.times_too_narrow(low[t.name], high[t.name])
            fit = Fit(t.name, wide, narrow)
            other = found.get(t.scale, fit)
            found[t.scale] = (
                fit if (fit.wide, -fit.narrow) <= (other.wide, -other.narrow) else other
            )
        return found

    def rescaled(self, times: dict[str, float]) -> Eight:
        """The model with scales so many times smaller, and the biases of whole numbers that count
        in steps of what their operator reads.
        """
        made = copy.copy(self)
        made.model, made.weights = self.copy(), dict(self.weights)
        for name, by in times.items():
            step = self.weights[name] / by * _MARGIN
            made.weights[name] = step.astype(self.weights[name].dtype)
        for node in self.model.graph.node:
            bias = _BIAS_AT.get(node.op_type, len(node.input))
            if bias < len(node.input) and node.input[1] in times and node.input[bias]:
                count = self.weights[node.input[bias]] * (times[node.input[1]] / _MARGIN)
                made.weights[node.input[bias]] = np.rint(count).astype(np.int32)
        made._write_weights()
        return made

    def _write_weights(self) -> None:
        """The weights as they are now into the model."""
        from onnx import numpy_helper

        for tensor in self.model.graph.initializer:
            tensor.CopyFrom(numpy_helper.from_array(self.weights[tensor.name], tensor.name))

    def mended(self, ranges: dict[str, Fit], samples: Sequence[Array]) -> tuple[list[Fit], Eight]:
        """The tensors whose ranges are too wide, or if there are none too narrow, the worst first;
        and the model with ranges that fit.
        """
        wide = {k: f for k, f in ranges.items() if f.wide >= _WIDE}
        if wide:
            made = self.rescaled({k: f.wide for k, f in wide.items()})
            return sorted(wide.values(), key=lambda f: -f.wide), made
        made, found = self, dict[str, Fit]()
        # What is cut off in one place is not seen in those behind it.
        for _ in range(_ROUNDS):
            cut = {k: f for k, f in ranges.items() if f.narrow >= _NARROW}
            if not cut:
                break
            found = cut | found
            made = made.rescaled({k: 1 / f.narrow for k, f in cut.items()})
            ranges = made.fits(samples)
        return sorted(found.values(), key=lambda f: -f.narrow), made


def unfit_ranges(
    model: Reference, result: Path, compared: Compared, right: Rows, first: int
) -> Found | None:
    """Ranges of the port's file that are much wider than these samples need, or that cut their
    values off, if others bring it nearer to the reference; with the file as the changed model.
    ``right``: the reference's answers, without the ``first`` columns of its output.
    """
    path = onnx_of(result) if len(right) >= _FEWEST else None
    if path is None:
        return None
    try:
        return _judged(model, Eight(path), compared, right, first)
    except (InputError, ToolError) as error:
        progress.warn(f"not tried: ranges of 8 bits; {error}")
        return None


def _judged(
    model: Reference, eight: Eight, compared: Compared, right: Rows, first: int
) -> Found | None:
    if not any(True for _ in eight.quantised()):
        return None
    _check_input(eight, model.recipe.shape)
    at = np.linspace(0, len(right) - 1, min(_MOST, len(right))).round().astype(int)
    parts = [
        model.samples([compared.images[i] for i in at[k : k + _BATCH]])
        for k in range(0, len(at), _BATCH)
    ]
    ranges = eight.fits(parts)
    unfit, better = eight.mended(ranges, parts)
    if not unfit:
        return None
    made, mended = (
        np.concatenate([e.rows(e.model, p) for p in parts])[:, first:] for e in (eight, better)
    )
    if made.shape != right[at].shape:
        raise InputError(f"'{eight.path}' has another output than the reference")
    measure = Measure(made, right)
    left = [unlikeness(measure(rows), measure(right[at])) for rows in (made, mended)]
    before, after = (float(part.mean()) for part in left)
    wide = unfit[0].wide >= _WIDE
    if not after <= _BETTER * before or (not wide and before <= SAME):
        return None
    words = _words(eight.path, unfit, wide, len(ranges))
    evidence = (
        f"{words}; the file differs from the reference by {before:.2g}, with ranges of"
        f" these images by {after:.2g}"
    )
    hits = mended.argmax(axis=1) == compared.truth[at]
    return Found(
        Candidate("int8-ranges", score_of(left[1]), evidence, FIXES["int8-ranges"]),
        accuracy=float(hits.mean()),
        changed=Changed("int8-ranges", words, partial(eight.rows, eight.model)),
    )


def _words(path: Path, unfit: list[Fit], wide: bool, count: int) -> str:
    """Which tensors, and how far they are from what they should be."""
    if wide:
        said = "are hardly used"
        each = [f"{f.name}: {256 / f.wide:.0f} of 256 steps, {f.wide:.0f} times too wide"
                for f in unfit]  # fmt: skip
    else:
        said = "cut values off"
        each = [f"{f.name}: its values reach {f.narrow:.1f} times as far" for f in unfit]
    return f"{len(unfit)} of {count} ranges of 8 bits in '{path.name}' {said} ({listed(each)})"


def _check_input(eight: Eight, shape: tuple[int, ...]) -> None:
    from onnx import TensorProto

    given = next(i for i in eight.model.graph.input if i.name == eight.input).type.tensor_type
    sizes = [d.dim_value for d in given.shape.dim][1:]
    fits = len(sizes) == len(shape) and all(s in (0, w) for s, w in zip(sizes, shape, strict=True))
    if given.elem_type != TensorProto.FLOAT or not fits:
        raise InputError(f"'{eight.path}' takes another input than the card's samples")
