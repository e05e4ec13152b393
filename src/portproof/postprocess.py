"""From a model's outputs to a prediction, as data.

``postprocess`` of a model card, ``catalog/postprocess/<name>.yaml``, or a YAML file of one's own
holds one of the records below, told apart by ``kind``; ``metrics/postprocess/<kind>.py`` does it.

Names of files are relative to the card's or the YAML file's folder. An output is given by its name
or by its place, counted from 1; where a record needs one output only and the model has one, it may
be left out. Shapes are of one sample, without the batch. Pixels are written height before width.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeAlias, cast, get_args

import msgspec

from portproof.core.errors import InputError
from portproof.core.yamlfile import data_file, load_yaml
from portproof.recipe import Pixels, Positive

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Output: TypeAlias = Count | Annotated[str, msgspec.Meta(min_length=1)] | None
ClassIds: TypeAlias = tuple[int, ...] | Literal["same", "coco80"]

#: COCO's category ids of the 80 classes that are numbered without gaps.
COCO80 = (
    *range(1, 12), *range(13, 26), 27, 28, *range(31, 45), *range(46, 66), 67, 70,
    *range(72, 83), *range(84, 91),
)  # fmt: skip


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind"):
    """``shapes`` of the outputs, one free size as -1: where no sidecar and no card says them."""

    shapes: tuple[tuple[int, ...], ...] = ()


class Frame(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How an image was put into the model's input of ``size``, for a model without a recipe.

    ``rule``: ``stretch`` (both sides to ``size``) or ``letterbox`` (the ratio is kept, the rest is
    padding); ``none``: predictions are in the pixels of the original image already. ``place``:
    where a letterboxed image lies. ``upscale``: whether a small image was enlarged. ``rounding`` of
    the resized sides: ``half_even`` (Python's ``round``), ``truncate`` or ``half_up``. ``ratio``:
    coordinates are divided by the ratio that was wanted, as Ultralytics and YOLOX do, and not by
    what each side got after rounding (mmdetection).
    """

    rule: Literal["none", "stretch", "letterbox"] = "stretch"
    size: tuple[Pixels, Pixels] | None = None
    place: Literal["centre", "top_left"] = "centre"
    upscale: bool = True
    rounding: Literal["half_even", "truncate", "half_up"] = "half_even"
    ratio: bool = False

    def __post_init__(self) -> None:
        if self.rule == "none" and self.size is not None:
            raise ValueError("`size`: with the rule 'none' nothing is brought back; take it out")


class Boxes(Settings, tag="boxes", kw_only=True, frozen=True):
    """Detections, from separate outputs ``boxes`` (N, 4), ``scores`` (N) or (N, C) and ``labels``
    (N), or from one ``output`` of N rows.

    A row is 4 + C numbers (``columns: classes``), 5 + C with an objectness before the classes
    (``objectness``), or 6: box, score, label (``score_label``). ``transposed``: the output is (4 +
    C, N). ``format`` is that of a box; ``relative``: in shares of the model's input (of
    the original image, if the rule of ``frame`` is none). ``activation``
    is put on raw scores; ``background``: a class that is none. A detection has a score over
    ``score_threshold``. ``multi_label``: every class of a row may be one; otherwise its best.

    ``iou_threshold``: non-maximum suppression class by class (``class_agnostic``: all together);
    without it none is done, since the model has done it or needs none. The best ``max_detections``
    stay. ``class_ids[i]``: the category of class ``i`` of the model; ``coco80``: COCO's.
    """

    output: Output = None
    boxes: Output = None
    scores: Output = None
    labels: Output = None
    columns: Literal["classes", "score_label"] = "classes"
    objectness: bool = False
    transposed: bool = False
    format: Literal["xyxy", "yxyx", "xywh", "cxcywh"] = "xyxy"
    relative: bool = False
    activation: Literal["none", "sigmoid", "softmax"] = "none"
    background: Literal["first", "last"] | None = None
    score_threshold: float = 0.0
    multi_label: bool = True
    iou_threshold: Share | None = None
    class_agnostic: bool = False
    max_detections: Count = 100
    class_ids: ClassIds = "same"
    frame: Frame | None = None

    def __post_init__(self) -> None:
        separate = [self.boxes, self.scores, self.labels]
        if self.output is not None and any(o is not None for o in separate):
            raise ValueError("`output`: give it, or 'boxes', 'scores' and 'labels', not both")
        if any(o is not None for o in separate) and (self.boxes is None or self.scores is None):
            raise ValueError("`boxes`: separate outputs need 'boxes' and 'scores' both")
        if self.columns == "score_label" and (self.objectness or self.background):
            raise ValueError("`columns`: 'score_label' goes without objectness and background")


class LabelMap(Settings, tag="label_map", kw_only=True, frozen=True):
    """A class for every pixel: the largest score along ``axis`` of an output with three axes, or
    ``ready`` ids of two. One channel is a score of class 1 over ``threshold`` (of raw scores, 0 is
    a probability of 0.5).

    The map is brought to the original image's size: ``bilinear`` resizes the scores before the
    largest is taken (as ``torch.nn.functional.interpolate`` without ``align_corners``),
    ``nearest`` the ids (pixel centres, as Pillow does).
    """

    output: Output = None
    ready: bool = False
    axis: Literal[0, 2] = 0
    threshold: float = 0.0
    resize: Literal["nearest", "bilinear"] = "bilinear"
    class_ids: tuple[int, ...] | Literal["same"] = "same"
    frame: Frame | None = None


class Ctc(Settings, tag="ctc", kw_only=True, frozen=True):
    """A text by the greedy path of CTC: the best class of every step, repeats once, blanks left
    out (Graves et al. 2006).

    ``alphabet``: the symbols of the classes in order: a file with one a line, or ``symbols`` as a
    list; with or without one for the blank (with it, if the output is ids). ``blank``: its class,
    negative from the end. ``steps``: the axis of time, the other is that of classes. ``ready``: the
    output is ids. ``replace``: symbols written otherwise, such as ``"|": " "``.
    """

    output: Output = None
    alphabet: str | None = None
    symbols: tuple[str, ...] = ()
    blank: int = 0
    steps: Literal[0, 1] = 0
    ready: bool = False
    replace: dict[str, str] = {}

    def __post_init__(self) -> None:
        if (self.alphabet is None) == (not self.symbols):
            raise ValueError("`alphabet`: a file, or 'symbols', was expected, one of the two")


class Classes(Settings, tag="classes", kw_only=True, frozen=True):
    """One class a sample: the largest of its scores; of one score, whether it is over
    ``threshold`` (class 1). ``class_ids[i]``: the id of class ``i`` of the model.
    """

    output: Output = None
    threshold: float = 0.0
    class_ids: tuple[int, ...] | Literal["same"] = "same"


class Tags(Settings, tag="tags", kw_only=True, frozen=True):
    """A tag for every word of a sentence: the largest score of its first token. ``names[i]``: the
    tag of class ``i`` (``O``, ``B-PER``, ...), or a file with one a line. ``first``: the token of
    the first word, where the truth does not give ``positions`` (words that were cut off are O).
    ``ready``: the output is ids.
    """

    output: Output = None
    names: tuple[str, ...] | str
    first: Annotated[int, msgspec.Meta(ge=0)] = 0
    ready: bool = False


class Spans(Settings, tag="spans", kw_only=True, frozen=True):
    """An answer in a text: the best ``start`` and ``end`` token with start <= end and at most
    ``max_tokens``. The truth holds the context, and for every token its place in it.
    ``null_threshold``: no answer when token 0 is better than the best answer by more.
    """

    start: Output = 1
    end: Output = 2
    max_tokens: Count = 30
    null_threshold: float | None = None


class Text(Settings, tag="text", kw_only=True, frozen=True):
    """A text from token ids (``scores``: from the best along the last axis). ``vocabulary``: a file
    with one token a line. It ends at a token of ``stop``; those of ``skip`` are left out.
    ``join``: ``space``, ``none``, ``wordpiece`` (``##`` goes on a word) or ``sentencepiece`` (``▁``
    begins one).
    """

    output: Output = None
    vocabulary: str
    scores: bool = False
    stop: tuple[int, ...] = ()
    skip: tuple[int, ...] = ()
    join: Literal["space", "none", "wordpiece", "sentencepiece"] = "space"


class Image(Settings, tag="image", kw_only=True, frozen=True):
    """An image of 8-bit levels: the output times ``scale`` plus ``shift`` (numbers, or one for each
    channel), clipped to 0 to 255, rounded half to even unless ``round`` is false. ``border``: so
    many pixels on each side are left out of every figure.
    """

    output: Output = None
    layout: Literal["CHW", "HWC"] = "CHW"
    channels: Literal["RGB", "BGR"] = "RGB"
    scale: float | tuple[float, ...] = 255.0
    shift: float | tuple[float, ...] = 0.0
    round: bool = True
    border: Annotated[int, msgspec.Meta(ge=0)] = 0


class Embedding(Settings, tag="embedding", kw_only=True, frozen=True):
    """A vector that is compared with others: the output, of any shape, as one row."""

    output: Output = None


class LogProbabilities(Settings, tag="log_probabilities", kw_only=True, frozen=True):
    """The natural logarithm of the probability of every token of a vocabulary, (tokens,
    vocabulary), from ``logits``, ``log_probabilities`` or ``probabilities``. ``shift``: row *i* is
    about token *i* + shift of the truth.
    """

    output: Output = None
    values: Literal["logits", "log_probabilities", "probabilities"] = "logits"
    shift: Annotated[int, msgspec.Meta(ge=0)] = 1


class Masks(Boxes, tag="masks", kw_only=True, frozen=True):
    """Detections, as of :class:`Boxes`, with a mask each: ``masks`` is (N, height, width), of the
    whole input or of the box (``inside_box``), ``(N, 1, height, width)`` too. A pixel is the
    object's when its value, after the ``mask_activation``, is over ``mask_threshold``.
    """

    masks: Output
    inside_box: bool = False
    mask_activation: Literal["none", "sigmoid"] = "none"
    mask_threshold: float = 0.5


class Keypoints(Boxes, tag="keypoints", kw_only=True, frozen=True):
    """Detections, as of :class:`Boxes`, with ``points``: (N, K, 3), x, y, score, or (N, K, 2)."""

    points: Output


class Regions(Settings, tag="regions", kw_only=True, frozen=True):
    """Regions of text from a map of probabilities (height, width), as PaddleOCR's ``DBPostProcess``
    finds quadrangles (Liao et al. 2020): what is over ``threshold`` hangs together; the smallest
    rectangle around it stays if its mean is at least ``box_threshold``, and grows on every side by
    its area times ``unclip_ratio`` over its length. No side may be under ``min_side`` (+ 2, grown).
    """

    output: Output = None
    threshold: float = 0.3
    box_threshold: float = 0.6
    unclip_ratio: Positive = 1.5
    min_side: float = 3.0
    max_regions: Count = 1000
    frame: Frame | None = None


Postprocess: TypeAlias = (
    Boxes | LabelMap | Ctc | Classes | Tags | Spans | Text | Image | Embedding | LogProbabilities
    | Masks | Keypoints | Regions
)  # fmt: skip


def kind_of(settings: Postprocess) -> str:
    """The ``kind`` of a record, which names its module."""
    return str(settings.__struct_config__.tag)


def read_postprocess(path: str | os.PathLike[str]) -> Postprocess:
    """Read a record from a YAML file; :class:`InputError` names the wrong line and why."""
    with kinds_listed():
        return cast(Postprocess, load_yaml(path, cast(type[Any], Postprocess), "post-processing"))


@contextlib.contextmanager
def kinds_listed() -> Iterator[None]:
    """The sentence about an unknown ``kind`` says which there are."""
    try:
        yield
    except InputError as error:
        known = ", ".join(str(k.__struct_config__.tag) for k in get_args(Postprocess))
        listed = f"; kinds: {known}" if "kind);" in str(error) else ""
        raise InputError(f"{error}{listed}") from error


def postprocess_file(name: str) -> os.PathLike[str]:
    """The YAML file of a name (``catalog/postprocess/<name>.yaml``) or of a path."""
    hint = "or give the path of a YAML file, or FILE.py:FUNCTION"
    return data_file("postprocess", name, "post-processing", hint)
