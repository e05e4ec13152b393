"""Weights files: checked, read without running their code, and loaded completely."""

from __future__ import annotations

import argparse
import codecs
import contextlib
import pickle
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from portproof.card import Card
from portproof.core import progress
from portproof.core.errors import InputError
from portproof.core.files import digest_of
from portproof.core.text import listed, printable

if TYPE_CHECKING:
    import torch
    from torch import nn

StateDict = dict[str, "torch.Tensor"]

#: Where training scripts put the weights inside a checkpoint. Averaged weights come first, as in
#: timm: they are what was evaluated.
NESTING = ("state_dict_ema", "model_ema", "ema", "state_dict", "model")

#: What wrappers put before every name: DataParallel and averaging (`module.`), torch.compile,
#: Lightning (`model.`).
PREFIXES = ("module.", "_orig_mod.", "model.")


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


def read_state_dict(path: Path) -> StateDict:
    """The tensors of a weights file by name, on the CPU, taken out of whatever a training script
    put around them.

    ``.safetensors`` and every format of ``torch.save`` are read. Of pickled classes only
    ``argparse.Namespace`` and numpy scalars are allowed, which training scripts store beside the
    weights; :class:`InputError` names any other class.
    """
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    import torch

    try:
        with _allowed_classes():
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(_refusal(path, str(error))) from error
    except (
        RuntimeError,
        EOFError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        UnicodeDecodeError,
        IndexError,
    ) as error:
        reason = str(error).split("\n", 1)[0] or type(error).__name__
        raise InputError(
            f"'{path}' is not a PyTorch weights file that can be read (damaged or cut off?):"
            f" {reason}"
        ) from error
    return _unnested(path, content)


def unprefixed(state: StateDict, expected: Mapping[str, object] | None = None) -> StateDict:
    """The tensors without a prefix that all names share, unless the model has it too."""
    for prefix in PREFIXES:
        own = expected is not None and any(name.startswith(prefix) for name in expected)
        if state and not own and all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def load_strictly(model: nn.Module, state: Mapping[str, Any], source: str) -> None:
    """Load every tensor; :class:`InputError` lists missing, unexpected or misshapen ones."""
    with always_strict(source):
        model.load_state_dict(state)


@contextlib.contextmanager
def always_strict(source: str) -> Iterator[None]:
    """Inside the block every ``load_state_dict`` is strict, whatever its caller asks, and its error
    is one sentence that names ``source``.

    timm loads the weights of some models leniently (``pretrained_strict=False`` in DLA, ConvNeXt,
    MobileNetV5): a tensor that the file lacks would keep random values without a word.
    """
    from torch import nn

    original = nn.Module.load_state_dict

    def strict(model: nn.Module, state: Mapping[str, Any], *_: object, **__: object) -> Any:
        shapes = [
            f"{name} {tuple(state[name].shape)} instead of {tuple(tensor.shape)}"
            for name, tensor in model.state_dict().items()
            if name in state
            and getattr(tensor, "shape", None) != getattr(state[name], "shape", None)
        ]
        result = None if shapes else original(model, state, strict=False)
        missing, unexpected = (result.missing_keys, result.unexpected_keys) if result else ([], [])
        kinds = ((missing, "missing"), (unexpected, "unexpected"), (shapes, "of another shape"))
        wrong = [f"{len(names)} {what} ({listed(names)})" for names, what in kinds if names]
        if wrong:
            raise InputError(
                f"the weights '{source}' do not fit the model: tensors {', '.join(wrong)}; check"
                " that they belong together"
            )
        return result

    nn.Module.load_state_dict = strict  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        nn.Module.load_state_dict = original  # type: ignore[method-assign]


def _read_safetensors(path: Path) -> StateDict:
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise InputError(
            f"'{path}' needs the Python package 'safetensors', which is not installed here: pip"
            " install safetensors"
        ) from error
    try:
        tensors: StateDict = load_file(path)
    except (
        Exception
    ) as error:  # the reader's own exception type is not part of its public interface
        raise InputError(
            f"'{path}' is not a safetensors file that can be read (damaged or cut off?): {error}"
        ) from error
    return tensors


@contextlib.contextmanager
def _allowed_classes() -> Iterator[None]:
    """Allow by name what training scripts store beside the weights; what was allowed before is
    allowed again afterwards.
    """
    import torch

    before = list(torch.serialization.get_safe_globals())
    torch.serialization.add_safe_globals(_harmless())
    try:
        yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)


def _harmless() -> list[Any]:
    """``argparse.Namespace`` and the names in a numpy scalar's pickle, of numpy 1 and 2."""
    dtypes = [type(np.dtype(code)) for code in "?bhilqBHILQefd"]
    # A scalar's bytes are pickled as encoded text, by protocol 2; later versions of PyTorch than
    # 2.4 allow that by themselves.
    return [
        argparse.Namespace,
        codecs.encode,
        np.dtype,
        _scalar_of("numpy.core"),
        _scalar_of("numpy._core"),
        *dict.fromkeys(dtypes),
    ]


def _scalar_of(package: str) -> Any:
    """numpy's ``multiarray.scalar`` under the name that it has in a package: numpy 1 and 2 write
    different ones, and read both.
    """

    def scalar(dtype: np.dtype[Any], data: bytes) -> Any:
        core = getattr(np, "_core", None) or np.core
        return core.multiarray.scalar(dtype, data)

    scalar.__module__, scalar.__qualname__ = f"{package}.multiarray", "scalar"
    return scalar


def _refusal(path: Path, message: str) -> str:
    """One sentence that names the class which the file wanted to make."""
    named = re.search(r"GLOBAL (\S+)", message) or re.search(
        r"(?:class|function|type|global) ['\"]?([\w.]+\.[\w.]+)", message
    )
    if named is None:
        reason = printable(message.strip().rsplit("\n", 1)[-1])
        return (
            f"'{path}' is not a PyTorch weights file that can be read without running code from it:"
            f" {reason}"
        )
    return (
        f"'{path}' holds an object of the class {printable(named.group(1))}, which is not loaded"
        " because unpickling it could run code: save the model's state_dict() alone, with"
        " torch.save(model.state_dict(), FILE)"
    )


def _unnested(path: Path, content: object) -> StateDict:
    if not isinstance(content, Mapping):
        raise InputError(
            f"'{path}' holds a {type(content).__name__}, a state dict was expected: save"
            " model.state_dict()"
        )
    inner = [key for key in NESTING if isinstance(content.get(key), Mapping)]
    if inner:
        if len(inner) > 1:
            progress.say(f"weights: '{path}' holds {', '.join(inner)}; '{inner[0]}' is used")
        return _unnested(path, content[inner[0]])
    import torch

    strange = [str(key) for key, value in content.items() if not isinstance(value, torch.Tensor)]
    extra_state = [key for key in strange if key.endswith("_extra_state")]
    if not content or len(strange) > len(extra_state):
        found = f"the keys {listed(strange)}" if content else "nothing"
        raise InputError(
            f"'{path}' holds {found}, tensors were expected (or a state dict under one of"
            f" {', '.join(NESTING)})"
        )
    return cast(StateDict, content)
