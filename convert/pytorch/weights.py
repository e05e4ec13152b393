"""Weights: their checksum, and how completely and unchanged they go into a model."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from portproof.card import Card
from portproof.convert.pytorch.changes import check_changes
from portproof.convert.pytorch.checkpoint import StateDict
from portproof.core.errors import InputError
from portproof.core.files import digest_of
from portproof.core.text import listed

if TYPE_CHECKING:
    from torch import nn


def check_weights(card: Card, path: Path) -> None:
    """Refuse a missing file (saying where to get it) or one whose checksum is not the card's; a
    card without a checksum accepts any.
    """
    facts = card.weights
    expected = next(
        ((a, d.lower()) for a, d in (("sha256", facts.sha256), ("md5", facts.md5)) if d), None
    )
    if not path.is_file():
        where = (
            f"download {facts.url} and save it as '{path}'"
            if facts.url
            else "give the path of a weights file"
        )
        digest = f"; its {expected[0]} must be {expected[1]}" if expected else ""
        raise InputError(
            f"the weights '{path}' {'are a folder' if path.is_dir() else 'are not there'}:"
            f" {where}{digest}"
        )
    if expected is None:
        return
    algorithm, digest = expected
    found = digest_of(path, algorithm)
    if found != digest:
        again = f"download it again from {facts.url}" if facts.url else "get the file again"
        raise InputError(
            f"the {algorithm} of '{path}' is {found}, the model card '{card.name}' expects"
            f" {digest}: {again}, or use a card without that checksum for weights of your own"
        )


def load_strictly(
    model: nn.Module,
    state: Mapping[str, Any],
    source: Path,
    file: StateDict | None = None,
    changes_allowed: bool = False,
) -> None:
    """Load every tensor of ``state``. ``file``: the tensors of the weights file ``source`` before a
    filter made ``state`` of them (default: ``state``).

    :class:`InputError` lists missing, unexpected or misshapen tensors, and those that a filter or
    the model's types changed.
    """
    with always_strict(dict(state) if file is None else file, source, changes_allowed):
        model.load_state_dict(state)


@contextlib.contextmanager
def always_strict(
    file: Mapping[str, Any], source: Path, changes_allowed: bool = False
) -> Iterator[None]:
    """Inside the block every ``load_state_dict`` is strict, whatever its caller asks, compares the
    loaded values with the file's, and fails in one sentence that names ``source``.

    timm loads the weights of some models leniently (``pretrained_strict=False`` in DLA, ConvNeXt,
    MobileNetV5): a tensor that the file lacks would keep random values without a word.
    """
    import torch
    from torch import nn
    from torch.nn.parameter import is_lazy

    original = nn.Module.load_state_dict
    # Copies: a filter may change the file's tensors in place.
    kept = {n: t.clone() for n, t in file.items() if isinstance(t, torch.Tensor)}

    def strict(model: nn.Module, state: Mapping[str, Any], *_: object, **__: object) -> Any:
        shapes = [
            f"{name} {tuple(state[name].shape)} instead of {tuple(tensor.shape)}"
            for name, tensor in model.state_dict().items()
            if name in state
            and not is_lazy(tensor)
            and getattr(tensor, "shape", None) != getattr(state[name], "shape", None)
        ]
        result = None if shapes else original(model, state, strict=False)
        missing, unexpected = (result.missing_keys, result.unexpected_keys) if result else ([], [])
        kinds = ((missing, "missing"), (unexpected, "unexpected"), (shapes, "of another shape"))
        wrong = [f"{len(names)} {what} ({listed(names)})" for names, what in kinds if names]
        if wrong:
            raise InputError(
                f"the weights '{source}' do not fit the model: tensors {', '.join(wrong)};"
                " check that they belong together"
            )
        loaded = {n: t for n, t in model.state_dict().items() if isinstance(t, torch.Tensor)}
        check_changes(kept, loaded, str(source), changes_allowed)
        return result

    nn.Module.load_state_dict = strict  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        nn.Module.load_state_dict = original  # type: ignore[method-assign]
