"""The post-processing that was asked for: a record of a card or a YAML file, or a function."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from portproof.card import Card
from portproof.core import plugins
from portproof.core.errors import InputError
from portproof.core.usercode import imported_files, load_callable, own_folder, source_of
from portproof.core.yamlfile import as_data
from portproof.metrics.decoding.arrays import Decode, Outputs, Sample
from portproof.metrics.decoding.own import as_prediction
from portproof.postprocess import (
    Classes,
    Embedding,
    Postprocess,
    kind_of,
    postprocess_file,
    read_postprocess,
)

_KINDS = "portproof.metrics.postprocess"
#: What needs no more to be said.
_USUAL: dict[str, Postprocess] = {"embedding": Embedding(), "classes": Classes()}


@dataclass(frozen=True)
class Decoder:
    """``decode`` makes predictions; ``shapes``: of the outputs, where the record says them;
    ``files`` and ``facts``: what decides the predictions, for sidecars.
    """

    decode: Decode
    shapes: Sequence[tuple[int, ...]] = ()
    files: Sequence[Path] = ()
    facts: dict[str, Any] = field(default_factory=dict)


def decoder_of(wanted: Sequence[str], asked: str | None, card: Card | None) -> Decoder | None:
    """The decoder of ``asked`` (the option), else of the card, else the usual one of the kind of
    prediction; None when there is none. ``wanted``: the kinds of prediction that the task takes.

    :class:`InputError` when it makes another kind.
    """
    base = Path(card.path).parent if card is not None and card.path is not None else Path()
    if asked is not None:
        return _named(wanted, asked, Path(), None)
    own = card.postprocess if card is not None else None
    if isinstance(own, str):
        return _named(wanted, own, base, card.path if card else None)
    settings = own or _USUAL.get(wanted[0])
    return None if settings is None else _by_settings(wanted, settings, base, [])


def _named(wanted: Sequence[str], text: str, base: Path, card_path: str | None) -> Decoder:
    if ".py:" in text:
        return _by_function(wanted[0], text, card_path)
    is_path = text.endswith((".yaml", ".yml")) or os.sep in text
    file = Path(postprocess_file(os.fspath(base / text) if is_path else text))
    return _by_settings(wanted, read_postprocess(file), file.parent, [file])


def _by_settings(
    wanted: Sequence[str], settings: Postprocess, folder: Path, files: list[Path]
) -> Decoder:
    kind = kind_of(settings)
    module = plugins.load(_KINDS, kind, "kind of post-processing")
    if module.PREDICTION not in wanted:
        raise InputError(
            f"the post-processing of the kind '{kind}' makes predictions of the kind"
            f" '{module.PREDICTION}', and the task takes {' or '.join(wanted)}; give that of the"
            " task"
        )
    named = [getattr(settings, name) for name in getattr(module, "FILES", ())]
    read = [folder / name for name in named if isinstance(name, str)]
    facts = {"postprocess": as_data(settings)}
    return Decoder(module.decoder(settings, folder), settings.shapes, [*files, *read], facts)


def _by_function(kind: str, text: str, card_path: str | None) -> Decoder:
    """A user's own ``decode(outputs, sample)``."""
    source, name = source_of(text, card_path)
    with own_folder(source):
        function, _ = load_callable(source, name)

    def decode(outputs: Outputs, sample: Sample) -> Any:
        with own_folder(source):
            found = function(dict(outputs), sample)
        return as_prediction(kind, found, f"{name} of '{source}'")

    return Decoder(decode, files=imported_files(source), facts={"postprocess": text})
