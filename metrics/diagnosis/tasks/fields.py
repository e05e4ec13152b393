"""Post-processing done otherwise: the records that differ in one field, as usual mistakes do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from portproof.core.errors import InputError
from portproof.core.yamlfile import as_data
from portproof.postprocess import (
    COCO80,
    Boxes,
    Classes,
    Ctc,
    Frame,
    Image,
    LabelMap,
    Postprocess,
    Spans,
)

#: Field -> the fault's name and what else to look at.
FAULTS = {
    "format": ("box-format", "corners, or corner or centre with width and height"),
    "relative": ("box-unit", "pixels of the input, or shares of it"),
    "activation": ("activation-missing", "a sigmoid or softmax of the scores, left out or doubled"),
    "class_ids": ("class-ids", "80 or 91 classes, counted from 0 or from 1, the ignore label"),
    "score_threshold": ("score-threshold", "figures like AP want nearly all detections"),
    "iou_threshold": ("nms-threshold", "non-maximum suppression in the model, the script, or both"),
    "class_agnostic": ("nms-classes", "suppression class by class, or all classes together"),
    "multi_label": ("multi-label", "every class over the threshold, or the best of a row"),
    "max_detections": ("max-detections", "how many detections are kept"),
    "frame": ("letterbox-stretch", "letterboxed or stretched, and where padding lies"),
    "transposed": ("output-transposed", "rows of boxes, or columns"),
    "objectness": ("objectness", "whether a column of objectness stands before the classes"),
    "background": ("background-class", "whether the first or last class is the background"),
    "axis": ("argmax-axis", "the axis of the classes"),
    "resize": ("map-resize", "scores before the argmax, or class ids after it"),
    "threshold": ("score-threshold", "of raw scores 0, of probabilities 0.5"),
    "blank": ("ctc-blank", "the first or the last class is the blank"),
    "steps": ("ctc-axis", "time or classes first"),
    "symbols": ("alphabet", "the symbols in the order of the training, with or without a blank"),
    "box_threshold": ("score-threshold", "the least mean of a region"),
    "unclip_ratio": ("unclip-ratio", "how far a region grows"),
    "first": ("first-token", "whether a [CLS] stands before the first word"),
    "start": ("start-end", "the outputs of start and end in the other order"),
    "max_tokens": ("max-tokens", "the longest answer"),
    "null_threshold": ("null-threshold", "when there is no answer"),
    "names": ("tag-order", "the tags in the order of the training"),
    "join": ("token-join", "how tokens become text"),
    "stop": ("stop-token", "the token that ends a text"),
    "skip": ("skip-tokens", "special tokens that are left out"),
    "scale": ("image-scale", "levels of 0 to 1 or of 0 to 255"),
    "channels": ("channel-order", "RGB or BGR"),
    "shift": ("image-shift", "the mean that is added again, or the token that a row is about"),
    "values": ("activation-missing", "logits, probabilities or their logarithms"),
    "layout": ("layout", "channels first or last"),
    "mask_threshold": ("mask-threshold", "of raw masks 0, of probabilities 0.5"),
    "mask_activation": ("activation-missing", "a sigmoid of the masks"),
}
#: So many of many ids are said.
_SAID = 16
_SCORES = (0.0, 0.001, 0.01, 0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7)
_OVERLAPS = (None, 0.3, 0.4, 0.45, 0.5, 0.6, 0.65, 0.7, 0.8, 0.9)
_CHOICES: dict[str, tuple[Any, ...]] = {
    "format": ("xyxy", "yxyx", "xywh", "cxcywh"),
    "relative": (False, True),
    "activation": ("none", "sigmoid", "softmax"),
    "score_threshold": _SCORES,
    "iou_threshold": _OVERLAPS,
    "class_agnostic": (False, True),
    "multi_label": (False, True),
    "max_detections": (10, 20, 50, 100, 300, 1000),
    "transposed": (False, True),
    "objectness": (False, True),
    "background": (None, "first", "last"),
    "axis": (0, 2),
    "resize": ("nearest", "bilinear"),
    "threshold": (-0.5, 0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7),
    "box_threshold": (0.3, 0.4, 0.5, 0.6, 0.7, 0.8),
    "unclip_ratio": (1.0, 1.2, 1.5, 1.6, 1.8, 2.0, 2.5),
    "blank": (0, -1),
    "steps": (0, 1),
    "first": (0, 1, 2),
    "max_tokens": (5, 10, 15, 20, 30, 50, 100),
    "null_threshold": (None, 0.0, 1.0, -1.0),
    "join": ("space", "none", "wordpiece", "sentencepiece"),
    "stop": ((), (0,), (1,), (2,), (3,), (102,)),
    "skip": ((), (0,), (0, 1), (0, 1, 2), (0, 1, 2, 3), (0, 101, 102)),
    "scale": (1.0, 255.0, 127.5),
    "channels": ("RGB", "BGR"),
    "values": ("logits", "log_probabilities", "probabilities"),
    "layout": ("CHW", "HWC"),
    "mask_threshold": (0.0, 0.3, 0.4, 0.5, 0.6, 0.7),
    "mask_activation": ("none", "sigmoid"),
}


@dataclass(frozen=True)
class Change:
    """A record with one field changed: ``asked`` and ``found`` are its values."""

    field: str
    asked: Any
    found: Any
    record: Postprocess

    @property
    def fault(self) -> str:
        """The fault's name."""
        return FAULTS[self.field][0]

    @property
    def words(self) -> str:
        """What is done instead of what, for the evidence."""
        found, asked = (_said(v) for v in (self.found, self.asked))
        return f"postprocess.{self.field}: {found} instead of {asked}"

    @property
    def fix(self) -> str:
        """What to do about it."""
        return (
            f"post-process with '{self.field}: {_said(self.asked)}', as the card's 'postprocess'"
            f" has it: {FAULTS[self.field][1]}"
        )


def _said(value: Any) -> Any:
    if isinstance(value, tuple) and len(value) > _SAID:
        return f"({', '.join(map(str, value[:_SAID]))}, ...)"
    return as_data(value) if isinstance(value, msgspec.Struct) else value


def changes(record: Postprocess, classes: int, letterboxed: bool | None) -> Iterator[Change]:
    """Every record with one field changed. ``classes``: how many the model has; ``letterboxed``:
    whether the card's recipe keeps the ratio (None: no recipe).
    """
    for name in record.__struct_fields__:
        for value in (*_CHOICES.get(name, ()), *_others(record, name, classes, letterboxed)):
            asked = getattr(record, name)
            if value == asked:
                continue
            try:
                yield Change(name, asked, value, msgspec.structs.replace(record, **{name: value}))
            except (ValueError, TypeError, InputError):  # no such record
                continue


def _others(
    record: Postprocess, name: str, classes: int, letterboxed: bool | None
) -> Iterator[Any]:
    """Values that depend on the record or the model."""
    if name == "class_ids" and isinstance(record, Boxes | LabelMap | Classes):
        yield from _class_ids(record.class_ids, classes)
    if name == "frame" and letterboxed is not None:
        yield Frame(rule="stretch")
        for place in ("centre", "top_left"):
            yield Frame(rule="letterbox", place=place)
        yield Frame(rule="none")
    if name == "symbols" and isinstance(record, Ctc) and record.symbols:
        own = record.symbols
        yield from (own[1:] + own[:1], own[-1:] + own[:-1], own[::-1], tuple(sorted(own)))
    if name == "shift" and isinstance(record, Image):
        yield from (0.0, 0.5, 127.5)
    if name == "shift" and not isinstance(record, Image):
        yield from (0, 1)
    if name == "start" and isinstance(record, Spans):
        yield record.end


def _class_ids(asked: Any, classes: int) -> Iterator[Any]:
    """80 or 91 classes, one too many or too few, the other way round."""
    if not classes:
        return
    yield "same"
    own = tuple(range(classes)) if isinstance(asked, str) else tuple(asked)
    if classes == 80 or asked == "coco80":
        yield "coco80"
        yield tuple(i - 1 for i in COCO80)
        yield tuple(i + 1 for i in COCO80)
    if classes in (90, 91):  # ids of COCO that are written as places among its 80 classes
        for first in (0, 1):
            places = {i: place for place, i in enumerate(COCO80, first)}
            yield tuple(places.get(i, -1) for i in own)
    yield tuple(i + 1 for i in own)
    yield tuple(i - 1 for i in own)
    yield own[1:] + own[:1]
    yield own[-1:] + own[:-1]
    yield own[::-1]
    yield tuple(int(t) for t in sorted(map(str, own)))
    yield (*own[:-1], 255)
    yield (255, *own[1:])
    yield (255, *own[:-1])
