"""Models of an engine loader: a folder with ``config.yaml`` and ``load.py``, whose class is
registered by ``@register_model`` (``engine:FOLDER``, ``engine:FOLDER@HEIGHTxWIDTH``).
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from portproof.card import Card
from portproof.convert.pytorch import registry
from portproof.convert.pytorch.checkpoint import read_state_dict, unprefixed
from portproof.convert.pytorch.models import Named
from portproof.convert.pytorch.weights import load_strictly
from portproof.core.errors import InputError
from portproof.core.files import existing_file
from portproof.core.usercode import imported_files, load_file, own_folder
from portproof.preprocess.cards.engine_cards import parts_of

if TYPE_CHECKING:
    from torch import nn

PACKAGES: tuple[str, ...] = ()

#: Where loaders that were written for the source's own repository import the decorator from.
_THEIR_MODULE = "src.utils.utils"


def files(card: Named) -> list[Path]:
    """The configuration, the loader, and what it has imported of its folder."""
    folder = parts_of(card.builder)[0]
    source = existing_file(folder / "load.py", "the engine loader").resolve()
    return [existing_file(folder / "config.yaml", "its configuration"), *imported_files(source)]


def build(card: Card, weights: Path | None) -> nn.Module:
    """What ``load_pytorch_module`` returns, with the weights loaded."""
    from torch import nn

    folder = parts_of(card.builder)[0]
    with loader_in(folder) as loader:
        model = loader.load_pytorch_module()
    if not isinstance(model, nn.Module):
        raise InputError(
            f"load_pytorch_module of '{folder}/load.py' returned {type(model).__name__}, a"
            " torch.nn.Module was expected"
        )
    if weights is not None:
        file = unprefixed(read_state_dict(weights), model.state_dict())
        state: Any = {name: tensor.clone() for name, tensor in file.items()}
        load_strictly(model, state, weights, file, card.weights.allow_changes)
    return model


def example_inputs(text: str) -> list[Any]:
    """The loader's example inputs as the model takes them, batch first: by its own ``preprocess``,
    if it has one, else each as one sample, channels first; empty without examples.
    """
    import numpy as np

    with loader_in(parts_of(text)[0]) as loader:
        examples = list(loader.load_example_inputs())
        if hasattr(loader, "preprocess"):
            return [np.asarray(array) for array in loader.preprocess(examples)]
    arrays = [np.asarray(array) for array in examples]
    return [(a.transpose(2, 0, 1) if a.ndim == 3 else a)[None] for a in arrays]


@contextlib.contextmanager
def loader_in(folder: Path) -> Iterator[Any]:
    """The folder's engine loader, made, with the folder importable inside the block.

    :class:`InputError` when the file registers none, or several, or one that lacks a method.
    """
    source = existing_file(folder / "load.py", "the engine loader").resolve()
    with own_folder(source):
        with _their_module(), registry.collected() as found:
            load_file(source)
        if len(found) != 1:
            raise InputError(
                f"'{source}' registers {len(found)} models, one was expected: put"
                " '@register_model' (from portproof import register_model) over one class"
            )
        made = next(iter(found.values()))
        missing = [
            m for m in ("load_pytorch_module", "load_example_inputs") if not hasattr(made, m)
        ]
        if missing:
            raise InputError(f"the loader in '{source}' has no method '{missing[0]}'; add it")
        yield made()


@contextlib.contextmanager
def _their_module() -> Iterator[None]:
    """``from src.utils.utils import register_model`` finds ours while the file is read."""
    names = ["src", "src.utils", _THEIR_MODULE]
    before = {name: sys.modules.get(name) for name in names}
    for name in names:
        sys.modules[name] = ModuleType(name)
    sys.modules[_THEIR_MODULE].register_model = registry.register_model  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module
