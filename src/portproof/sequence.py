"""Text and sound as inputs of a model, as data: ``sequence`` of a model card.

Both end in arrays of a fixed length: a shorter sample is padded, a longer one cut or refused.
Names of files are relative to the card's folder.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec

Length = Annotated[int, msgspec.Meta(ge=1, le=100_000_000)]
Token = Annotated[str, msgspec.Meta(min_length=1)]


class Tokens(
    msgspec.Struct,
    kw_only=True,
    frozen=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="tokens",
):
    """Token ids of a text, or of a pair of texts, by a ``vocabulary`` file: one token a line, the
    first is id 0.

    ``algorithm``: ``wordpiece`` (BERT's: words at blanks and punctuation, then the longest pieces
    that are known, ``##`` in front of those inside a word), ``words`` (at blanks) or
    ``characters``. ``lowercase``: also without accents, as BERT's uncased models. ``first`` and
    ``last`` stand around a text, null for none; ``last`` ends both texts of a pair.

    ``parts``: the arrays of ``length`` numbers that are written, in the order of the model's
    inputs: the ``ids``, the ``mask`` (1 where a token is, 0 where ``padding``) and the ``types`` (1
    in the second text of a pair). ``too_long``: ``cut`` at the end (of a pair, of the longer text)
    or ``refuse``.
    """

    vocabulary: Token
    length: Length
    algorithm: Literal["wordpiece", "words", "characters"] = "wordpiece"
    lowercase: bool = False
    first: Token | None = "[CLS]"
    last: Token | None = "[SEP]"
    padding: Token = "[PAD]"
    unknown: Token = "[UNK]"
    parts: tuple[Literal["ids", "mask", "types"], ...] = ("ids", "mask")
    too_long: Literal["cut", "refuse"] = "cut"

    def __post_init__(self) -> None:
        _check_parts(self.parts)
        if self.length <= 2 * (self.first is not None) + 2 * (self.last is not None):
            raise ValueError("`length`: it leaves no room for a text beside 'first' and 'last'")

    @property
    def file_names(self) -> tuple[str, ...]:
        """The files that it names."""
        return (self.vocabulary,)


class Waveform(
    msgspec.Struct,
    kw_only=True,
    frozen=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="waveform",
):
    """``length`` values of a 16-bit PCM WAV file, each divided by ``divide``.

    ``rate``: samples a second; a file of another rate is refused, since resampling by another
    program changes what the model hears. ``channels``: a file has ``one``, or the ``mean`` of
    several is taken, or the ``first``. Padding is 0, at the end. ``parts``: the ``wave`` and the
    ``length`` before the padding, in the order of the model's inputs. ``too_long``: ``refuse`` a
    longer file, or ``cut`` its end.
    """

    rate: Length
    length: Length
    channels: Literal["one", "mean", "first"] = "one"
    divide: Annotated[float, msgspec.Meta(gt=0)] = 32768.0
    parts: tuple[Literal["wave", "length"], ...] = ("wave",)
    too_long: Literal["cut", "refuse"] = "refuse"

    def __post_init__(self) -> None:
        _check_parts(self.parts)

    @property
    def file_names(self) -> tuple[str, ...]:
        """The files that it names."""
        return ()


Sequence: TypeAlias = Tokens | Waveform


def kind_of(sequence: Sequence) -> str:
    """The ``kind`` of a record, which names its module in ``preprocess/encoders``."""
    return str(sequence.__struct_config__.tag)


def _check_parts(parts: tuple[str, ...]) -> None:
    if not parts or len(set(parts)) != len(parts):
        raise ValueError("`parts`: each at most once, and one at least, was expected")
