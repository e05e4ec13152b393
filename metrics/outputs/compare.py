"""A port's outputs against its reference's, without labels: distances, and a verdict by the noise
ruler.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from portproof.convert.onnxfile.read import read_onnx
from portproof.core import progress
from portproof.core.errors import InputError
from portproof.core.files import write_bytes
from portproof.core.text import listed
from portproof.manifest import Sample, read_info
from portproof.metrics.accuracy.score import is_simulated
from portproof.metrics.outputs.distances import Array, Distance, distance
from portproof.metrics.outputs.judge import ALLOWED, OUTLIER, Errors, Judgement, judge
from portproof.metrics.outputs.output_figures import OutputComparison, OutputFigures, Worst
from portproof.metrics.outputs.output_files import OutputFiles, outputs_of
from portproof.metrics.outputs.ruler import rounded_outputs
from portproof.proof.sidecar import sidecar_of
from portproof.proof.work import Work
from portproof.verdict import Verdict

#: A reference's results and its model agree to this, relative to the outputs' norm: both are fp32.
_SAME_MODEL = 1e-2
_WORST_SHOWN = 5


@dataclass(frozen=True)
class Ruler:
    """What the tolerance is made of: the reference's ONNX file, an info list of the samples, the
    port's ``precision``, and on how many samples the reference is run.
    """

    model: Path
    info: Path
    precision: str = "fp16"
    limit: int = 64


def compare_outputs(
    reference: str | os.PathLike[str],
    port: str | os.PathLike[str],
    ruler: Ruler,
    *,
    reference_dtype: str = "float32",
    port_dtype: str = "float32",
    out: str | os.PathLike[str] | None = None,
) -> OutputComparison:
    """Compare two result folders of the same samples; several outputs of any shape and type.

    :class:`InputError` if the sides have other samples or outputs, or if the reference's results
    are not those of the ruler's model. Writes the JSON to ``out``, with its sidecar, when given;
    asked again with the same inputs it says so and returns what it wrote.
    """
    ours, theirs = outputs_of(reference, reference_dtype), outputs_of(port, port_dtype)
    _check_sides(ours, theirs, reference, port)
    simulated = is_simulated(Path(reference)) or is_simulated(Path(port))
    if out is None:
        return _comparison(ours, theirs, ruler, simulated)
    work = _work(Path(out), ours, theirs, ruler, simulated)
    if work.is_done():
        return msgspec.json.decode(Path(out).read_bytes(), type=OutputComparison)
    work.begin()
    comparison = _comparison(ours, theirs, ruler, simulated)
    write_bytes(out, comparison.to_json())
    work.finish([Path(out)], facts={"verdict": comparison.verdict})
    return comparison


def _work(
    out: Path,
    ours: Sequence[OutputFiles],
    theirs: Sequence[OutputFiles],
    ruler: Ruler,
    simulated: bool,
) -> Work:
    sides = {"reference": ours, "port": theirs}
    sidecars = {role: sidecar_of(side[0].files.folder) for role, side in sides.items()}
    listings = {
        f"{role} files": [[output.dtype.name, output.files.listing_digest()] for output in side]
        for role, side in sides.items()
    }
    return Work(
        "compare-outputs",
        out,
        inputs={role: [path] for role, path in sidecars.items() if path.is_file()}
        | {"model": read_onnx(ruler.model).files, "info": [ruler.info]},
        parameters={"precision": ruler.precision, "limit": ruler.limit, **listings},
        packages=("numpy", "onnxruntime"),
        simulated=simulated,
    )


def _comparison(
    ours: Sequence[OutputFiles], theirs: Sequence[OutputFiles], ruler: Ruler, simulated: bool
) -> OutputComparison:
    errors = [Errors() for _ in ours]
    _measure_ruler(ruler, ours, theirs, errors)
    distances = _distances(ours, theirs)
    figures = [
        _figures(output, found, error, judge(error))
        for output, found, error in zip(ours, distances, errors, strict=True)
    ]
    order = [Verdict.FAIL, Verdict.UNDECIDED, Verdict.PASS]
    return OutputComparison(
        verdict=min((f.verdict for f in figures), key=order.index),
        precision=ruler.precision,
        allowed=ALLOWED,
        samples=len(ours[0].files.ids),
        ruler_samples=len(errors[0].port),
        outputs=figures,
        reference=str(ours[0].files.folder),
        port=str(theirs[0].files.folder),
        simulated=simulated,
    )


def _check_sides(
    ours: Sequence[OutputFiles],
    theirs: Sequence[OutputFiles],
    reference: str | os.PathLike[str],
    port: str | os.PathLike[str],
) -> None:
    if len(ours) != len(theirs):
        raise InputError(
            f"'{reference}' has {len(ours)} outputs and '{port}' has {len(theirs)}: results of the"
            " same outputs were expected"
        )
    odd = ours[0].files.ids.apart_from(theirs[0].files.ids)
    if odd:
        raise InputError(
            f"{len(odd)} samples are in only one of '{reference}' and '{port}' ({listed(odd)}); run"
            " the inference of both on the same samples"
        )


def _measure_ruler(
    ruler: Ruler,
    ours: Sequence[OutputFiles],
    theirs: Sequence[OutputFiles],
    errors: Sequence[Errors],
) -> None:
    """Run the reference model and its rounded form, and note all three sides' distances."""
    samples = [s for s in read_info(ruler.info) if s.id in ours[0].files.ids]
    if not samples:
        raise InputError(
            f"'{ruler.info}' names none of the samples in '{ours[0].files.folder}': give the info"
            " list that the reference was run on"
        )
    chosen = _spread(samples, ruler.limit)
    for sample, plain, noisy in rounded_outputs(ruler.model, chosen, ruler.precision):
        if len(plain) != len(ours):
            raise InputError(
                f"'{ruler.model}' has {len(plain)} outputs and the results have {len(ours)}: give"
                " the model that made the reference's results"
            )
        for a, b, one, other, error in zip(plain, noisy, ours, theirs, errors, strict=True):
            stored, answer = one.read(sample), other.read(sample)
            _check_model(ruler.model, sample, a, stored)
            error.whole = a.dtype.kind in "iub"
            error.add(sample, distance(stored, answer), distance(a, b), a)
            error.add_slices(stored.reshape(a.shape), answer, b)


def _check_model(model: Path, sample: str, computed: Array, stored: Array) -> None:
    """The ruler is the reference's only if the model gives the reference's results."""
    found = distance(computed, stored)
    if found.relative > _SAME_MODEL:
        raise InputError(
            f"'{model}' does not give the reference's result of '{sample}' (relative difference"
            f" {found.relative:.2g}): give the model and the info list that made these results"
        )


def _spread(samples: Sequence[Sample], count: int) -> list[Sample]:
    """Evenly over the list, so that they are not all of one class."""
    count = min(count, len(samples))
    return [samples[i * len(samples) // count] for i in range(count)]


def _distances(
    ours: Sequence[OutputFiles], theirs: Sequence[OutputFiles]
) -> list[dict[str, Distance]]:
    """For each output the distance of every sample."""
    ids = sorted(ours[0].files.ids)
    found: list[dict[str, Distance]] = [{} for _ in ours]
    with progress.meter("outputs", len(ids), "samples") as meter:
        for sample in ids:
            for into, one, other in zip(found, ours, theirs, strict=True):
                into[sample] = distance(one.read(sample), other.read(sample))
            meter.advance(1)
    return found


def _figures(
    output: OutputFiles, found: dict[str, Distance], errors: Errors, judged: Judgement
) -> OutputFigures:
    judged = _with_the_rest(found, errors, judged)
    ratios, all_of = errors.ratios(), list(found.values())
    worst = sorted(found, key=lambda s: -found[s].relative)[:_WORST_SHOWN]
    agreements = [d.argmax for d in all_of if d.argmax is not None]
    ruler = [errors.ruler[s] / errors.norm[s] for s in errors.ruler if errors.norm[s]]
    return OutputFigures(
        output=output.files.output,
        name=output.name,
        verdict=judged.verdict,
        reason=judged.reason,
        cosine_mean=float(np.mean([d.cosine for d in all_of])),
        cosine_least=min(d.cosine for d in all_of),
        relative_mean=_finite(float(np.mean([d.relative for d in all_of]))),
        relative_largest=_finite(max(d.relative for d in all_of)),
        ruler_relative_mean=float(np.mean(ruler)) if ruler else 0.0,
        snr_db_mean=_finite(float(np.mean([d.snr_db for d in all_of]))),
        largest_difference=_finite(max(d.largest for d in all_of)),
        argmax_agreement=float(np.mean(agreements)) if agreements else None,
        ratio=_finite(judged.ratio),
        ratio_low=_finite(judged.low),
        ratio_high=_finite(judged.high),
        worst=[Worst(s, _finite(found[s].relative), _finite(ratios.get(s))) for s in worst],
    )


def _with_the_rest(found: dict[str, Distance], errors: Errors, judged: Judgement) -> Judgement:
    """Samples that the ruler did not see are held against the largest error that it allows."""
    known = [errors.ruler[s] / errors.norm[s] for s in errors.ruler if errors.norm[s]]
    if errors.whole or not known:
        return judged
    limit = OUTLIER * ALLOWED * max(known)
    far = [s for s in _unseen(found, errors) if found[s].relative > limit]
    if not far:
        return judged
    worst = max(far, key=lambda s: found[s].relative)
    return Judgement(
        Verdict.FAIL,
        f"{len(far)} of {len(found)} samples are further from the reference than"
        f" {OUTLIER * ALLOWED:g} times the largest rounding error seen, '{worst}' by"
        f" {found[worst].relative:.3g}",
        judged.ratio,
        judged.low,
        judged.high,
    )


def _unseen(found: dict[str, Distance], errors: Errors) -> Iterator[str]:
    return (sample for sample in found if sample not in errors.port)


def _finite(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)
