"""Checkpoints: read without running their code, and taken out of what training put around them."""

from __future__ import annotations

import argparse
import codecs
import contextlib

# For its error class only: nothing is unpickled here.
import pickle  # nosec B403
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from portproof.convert.pytorch.file_kinds import foreign_kind, is_safetensors
from portproof.core import progress
from portproof.core.errors import InputError
from portproof.core.files import existing_file
from portproof.core.text import listed, printable

if TYPE_CHECKING:
    import torch

StateDict = dict[str, "torch.Tensor"]

#: Where training scripts put the weights inside a checkpoint. Averaged weights come first, as in
#: timm: they are what was evaluated.
NESTING = (
    *("state_dict_ema", "ema_state_dict", "model_ema", "params_ema", "ema"),
    *("swa_state_dict", "swa_model"),
    *("state_dict", "model_state_dict", "model_state", "model", "network", "net", "params"),
    *("weights", "module"),
)

#: What wrappers put before every name: DataParallel and averaging (`module.`), torch.compile,
#: Lightning (`model.`).
PREFIXES = ("module.", "_orig_mod.", "model.")

#: What wrappers of a part put inside a name: torch.compile, FSDP, activation checkpointing, and
#: DeepSpeed under Lightning. No module is called so by its author.
WRAPPERS = re.compile(
    r"(?:^|(?<=\.))(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module|_forward_module)\."
)

#: Counters that averaging keeps beside the weights: PyTorch's ``AveragedModel``, MMEngine's.
COUNTERS = ("n_averaged", "steps")


def read_state_dict(path: Path) -> StateDict:
    """The tensors of a weights file by name, on the CPU, taken out of whatever a training script
    put around them.

    safetensors and every format of ``torch.save`` are read. Of pickled classes only
    ``argparse.Namespace`` and numpy scalars are allowed, which training scripts store beside the
    weights. :class:`InputError` names any other class, says what a file of another kind is, and
    names tensors that hold no plain numbers (sparse, quantised, without data).
    """
    existing_file(path, "weights")
    state = _read_safetensors(path) if is_safetensors(path) else _unnested(path, _read_saved(path))
    _refuse_special(path, state)
    return state


def unprefixed(state: StateDict, expected: Mapping[str, object] | None = None) -> StateDict:
    """The tensors under the names that they had before wrappers were put around the model: without
    a prefix that all names share, unless the model has it too, and without averaging's counters.
    """
    own = set(expected or ())
    names = {name: name for name in state}
    if not any(WRAPPERS.search(name) for name in own):
        names = {name: WRAPPERS.sub("", name) for name in state}
    shared = {old: new for old, new in names.items() if old in own or old not in COUNTERS}
    while prefix := _shared_prefix(list(shared.values()), own):
        names = shared = {old: new.removeprefix(prefix) for old, new in shared.items()}
    if len(set(names.values())) < len(names):
        return state  # two tensors would get one name: the misfit is said with the file's own
    return {new: state[old] for old, new in names.items()}


def _shared_prefix(names: list[str], own: set[str]) -> str | None:
    """A wrapper's prefix of all names. One that the model has too is taken off only if the names
    are the model's without it, as of a wrapped model with a part of that name.
    """
    for prefix in PREFIXES:
        if not names or not all(name.startswith(prefix) for name in names):
            continue
        if not any(name.startswith(prefix) for name in own):
            return prefix
        if not own & set(names) and own & {name.removeprefix(prefix) for name in names}:
            return prefix
    return None


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


def _read_saved(path: Path) -> object:
    """The content of a file of ``torch.save``."""
    if path.suffix == ".safetensors":
        raise InputError(
            f"'{path}' is not a safetensors file that can be read (damaged or cut off?): copy or"
            " download it again"
        )
    kind = foreign_kind(path)
    if kind is not None:
        raise InputError(f"the weights '{path}' are {kind}")
    import torch

    try:
        with _allowed_classes():
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(_refusal(path, str(error))) from error
    except Exception as error:  # damaged bytes make the reader fail in any way (OSError, KeyError)
        reason = printable(str(error).split("\n", 1)[0]) or type(error).__name__
        if "weights_only" in reason:  # PyTorch's advice is to run the file's code
            reason = type(error).__name__
        raise InputError(
            f"'{path}' is not a PyTorch weights file that can be read (damaged or cut off?):"
            f" {reason}; copy or download it again"
        ) from error


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
        return (
            f"'{path}' is not a weights file of torch.save (a plain pickle, damaged, or of another"
            " program?): save the model's state_dict() with torch.save(model.state_dict(), FILE)"
        )
    return (
        f"'{path}' holds an object of the class {printable(named.group(1))}, which is not loaded"
        " because unpickling it could run code: save the model's state_dict() alone, with"
        " torch.save(model.state_dict(), FILE)"
    )


def _unnested(path: Path, content: object) -> StateDict:
    """The first state dict in the order of :data:`NESTING`, however deep it stands."""
    if not isinstance(content, Mapping):
        raise InputError(
            f"'{path}' holds a {type(content).__name__}, a state dict was expected: save"
            " model.state_dict()"
        )
    found = list(_state_dicts(content, ()))
    if not found:
        strange = [str(key) for key, value in content.items() if not _is_tensor(value)]
        unnamed = [repr(key) for key in content if not isinstance(key, str)]
        what = f"the keys {listed(strange or unnamed)}" if strange or unnamed else "nothing"
        raise InputError(
            f"'{path}' holds {what}, tensors were expected, by name (or a state dict under one of"
            f" {', '.join(NESTING)}): save model.state_dict()"
        )
    names = [".".join(where) for where, _ in found]
    if len(found) > 1:
        progress.say(f"weights: '{path}' holds {', '.join(names)}; '{names[0]}' is used")
    return found[0][1]


def _state_dicts(
    content: Mapping[object, object], where: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], StateDict]]:
    """The state dicts in a checkpoint and where they stand; the outer one hides what is inside."""
    # Nesting deeper than any training script's, or a dictionary that holds itself.
    if len(where) > 8:
        return
    inner = [
        (key, value)
        for key in NESTING
        if isinstance(value := content.get(key), Mapping) and value is not content
    ]
    nested = [s for key, value in inner for s in _state_dicts(value, (*where, key))]
    if nested:
        yield from nested
    elif not inner or all(not value for _, value in inner):
        tensors = {k: v for k, v in content.items() if _is_tensor(v)}
        rest = [k for k in content if k not in tensors and k not in NESTING]
        extra = [k for k in rest if isinstance(k, str) and k.endswith("_extra_state")]
        if tensors and len(rest) == len(extra) and all(isinstance(k, str) for k in content):
            yield where, cast(StateDict, {**tensors, **{k: content[k] for k in extra}})


def _is_tensor(value: object) -> bool:
    import torch

    return isinstance(value, torch.Tensor)


def _refuse_special(path: Path, state: StateDict) -> None:
    """Refuse tensors that hold no plain numbers: a copy of them into a model is another thing."""
    from torch.nn.parameter import is_lazy

    kinds: dict[str, list[str]] = {}
    for name, tensor in state.items():
        if not _is_tensor(tensor):
            continue
        if is_lazy(tensor):
            kinds.setdefault("not initialised (a lazy layer before its first run)", []).append(name)
        elif tensor.is_meta:
            kinds.setdefault("without data (on the device 'meta')", []).append(name)
        elif tensor.is_quantized:
            kinds.setdefault("quantised", []).append(name)
        elif tensor.is_sparse or str(tensor.layout) != "torch.strided":
            kinds.setdefault("sparse", []).append(name)
        elif tensor.is_nested:
            kinds.setdefault("nested", []).append(name)
    if kinds:
        found = "; ".join(f"{len(n)} {kind} ({listed(n)})" for kind, n in kinds.items())
        raise InputError(
            f"the weights '{path}' hold tensors that are not plain numbers: {found}; save the"
            " state_dict() of the trained floating-point model, run at least once"
        )
