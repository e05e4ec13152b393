"""The rungs of a ladder: what each is, and in which order they stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from portproof.convert.onnxfile.read import read_onnx
from portproof.core.errors import InputError
from portproof.metrics.outputs.ruler import PRECISIONS

#: The usual rungs in their order; others stand where they are named.
ORDER = ("torch", "onnx", "simplified", "fp16", "int8", "engine", "aipp", "post")
#: What a rung of this name computes in, where its file does not say.
_USUAL = {"fp16": "fp16", "int8": "int8", "engine": "fp16", "aipp": "fp16"}


@dataclass(frozen=True)
class Rung:
    """One form of the model. ``source``: a model file, a folder of results, or ``FILE.py:NAME`` of
    a function from one sample's outputs to one number a class. ``precision``: what it computes in.
    ``info``: an info list of its own, as a rung with AIPP takes other pixels.
    """

    label: str
    source: str
    precision: str
    info: str | None = None

    @property
    def is_function(self) -> bool:
        """Whether it works on the results of the rung before."""
        return ".py:" in self.source

    @property
    def changes_scale(self) -> bool:
        """Whether its numbers are not those of the rung before (probabilities): only its order of
        classes is compared.
        """
        return self.is_function or self.label.startswith("post")


def rung_of(text: str) -> Rung:
    """``LABEL=SOURCE`` or ``LABEL=SOURCE,PRECISION``; :class:`InputError` if it is neither."""
    label, equals, source = text.partition("=")
    source, comma, precision = source.partition(",")
    if not equals or not label or not source or (comma and precision not in PRECISIONS):
        raise InputError(
            f"'{text}' is not a rung: LABEL=MODEL_FILE, LABEL=RESULT_DIR or LABEL=FILE.py:FUNCTION,"
            f" and ',' with one of {', '.join(PRECISIONS)} behind it if need be, was expected"
        )
    if ".py:" not in source and not Path(source).exists():
        raise InputError(f"the rung '{label}' names '{source}', which is missing")
    return Rung(label, source, precision or _precision(label, source))


def _precision(label: str, source: str) -> str:
    if source.endswith(".onnx"):
        head = read_onnx(Path(source))
        return "int8" if head.quantized else "fp16" if head.half else "fp32"
    if source.endswith((".om", ".plan")):
        return _USUAL.get(label, "fp16")
    return _USUAL.get(label, "fp32")


def standing(made: Sequence[Rung], given: Sequence[Rung], infos: Sequence[str]) -> list[Rung]:
    """The rungs from first to last: those that were made, replaced by what is given under the same
    label; further ones where their name usually stands, or at the end. ``infos``: ``LABEL=INFO``.
    """
    labels = [rung.label for rung in given]
    if len(set(labels)) < len(labels):
        raise InputError(f"two rungs have one label: {', '.join(labels)}; give each its own")
    known = {rung.label: rung for rung in (*made, *given)}
    if made:
        last = len(ORDER)
        places = {label: at for at, label in enumerate(ORDER)}
        rungs = sorted(known.values(), key=lambda rung: places.get(rung.label, last))
    else:
        rungs = list(known.values())
    for text in infos:
        label, equals, info = text.partition("=")
        if not equals or label not in known:
            raise InputError(
                f"--info-of '{text}' is not LABEL=INFO_LIST of a rung; the rungs are"
                f" {', '.join(known)}"
            )
        rungs = [replace(r, info=info) if r.label == label else r for r in rungs]
    if len(rungs) < 2:
        raise InputError(
            f"a ladder has two rungs at least, here there are {len(rungs)}: give LABEL=SOURCE, or"
            " --weights so that the usual ones are made"
        )
    if rungs[0].is_function:
        raise InputError(f"the first rung, '{rungs[0].label}', has no rung before it to work on")
    return rungs
