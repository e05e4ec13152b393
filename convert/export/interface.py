"""A model's inputs and outputs made those of its card: by name where the names say so."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from portproof.card import Card
from portproof.convert.export.engines import ModelFailed
from portproof.convert.export.samples import Feeds
from portproof.core import progress
from portproof.core.errors import InputError
from portproof.core.text import listed

if TYPE_CHECKING:
    from torch import nn

#: Parameter of ``forward`` for each input of the card, in its order; None: by position.
Binding = tuple[str | None, ...]

_Kind = inspect.Parameter


def fit(network: nn.Module, card: Card, feeds: Feeds) -> Binding:
    """Make ``network(*values)`` take the card's inputs in the card's order and return a tuple of
    tensors, the card's outputs in the card's order.

    Names decide: an input named as a parameter of ``forward`` goes there, an output named as a key
    of the dict that the model returns comes from there. :class:`InputError` if names and places
    contradict each other, or the numbers differ. ``feeds`` is a batch, to try a ``forward`` that
    takes anything.
    """
    forward = network.forward
    names = [spec.name for spec in card.inputs]
    binding = _tried(forward, bind(names, inspect.signature(forward), card.name), names, feeds)

    def fitted(*values: Any) -> tuple[Any, ...]:
        return arranged(_call(forward, binding, values), card)

    # Of the instance: a module around it would change the names of all tensors in the file.
    network.forward = fitted
    return binding


def bind(names: Sequence[str], signature: inspect.Signature, card: str) -> Binding | None:
    """Where each input goes. None: ``forward(*args, **kwargs)`` tells nothing."""
    every = list(signature.parameters.values())
    kinds = {parameter.kind for parameter in every}
    by_place = [p.name for p in every if p.kind in (_Kind.POSITIONAL_ONLY, _POSITIONAL)]
    known = {_plain(p.name): p.name for p in every if p.kind in (_POSITIONAL, _Kind.KEYWORD_ONLY)}
    matched = {name: known[_plain(name)] for name in names if _plain(name) in known}
    if not known and kinds >= {_Kind.VAR_POSITIONAL, _Kind.VAR_KEYWORD} and len(names) > 1:
        return None
    places = [*by_place, *[""] * (len(names) if _Kind.VAR_POSITIONAL in kinds else 0)]
    if len(matched) < len(names):
        binding = _partly(names, matched, every, places, card)
    else:
        binding = tuple(matched[name] for name in names)
    _check_required(binding, every, places, names, card)
    return binding


_POSITIONAL = _Kind.POSITIONAL_OR_KEYWORD


def _partly(
    names: Sequence[str],
    matched: Mapping[str, str],
    every: Sequence[inspect.Parameter],
    places: Sequence[str],
    card: str,
) -> Binding:
    """Where inputs go of which not all are named as parameters are."""
    rest = [name for name in names if name not in matched]
    at = dict(zip(names, places, strict=False))
    takes_any = any(p.kind is _Kind.VAR_KEYWORD for p in every)
    if takes_any and (matched or not places):
        return tuple(matched.get(name, name) for name in names)
    if all(at.get(name) == parameter for name, parameter in matched.items()) and not any(
        _belongs_elsewhere(name, at.get(name, ""), places) for name in rest
    ):
        if len(names) > 1:
            pairs = ", ".join(f"{name} as {at.get(name) or 'an argument'}" for name in rest)
            progress.say(f"export: no parameter of forward has these names, by place: {pairs}")
        return (None,) * len(names)
    free = [p.name for p in every if p.default is _Kind.empty and p.name in places]
    free = [name for name in free if name not in matched.values()]
    if len(rest) == len(free) == 1:
        progress.say(f"export: inputs go in by name, '{rest[0]}' as '{free[0]}'")
        return tuple(matched.get(name, free[0]) for name in names)
    raise InputError(
        f"model card '{card}' names the inputs {listed(list(names), most=12)}, the model's forward"
        f" takes {listed([p.name for p in every], most=12)}: which is which is not clear; name the"
        " card's inputs as forward's parameters"
    )


def _belongs_elsewhere(name: str, place: str, places: Sequence[str]) -> bool:
    """Whether a name is part of one other parameter's name alone (``mask``: ``attention_mask``)."""
    plain = _plain(name)
    near = [p for p in places if p and len(plain) > 2 and plain in _plain(p)]
    return len(near) == 1 and near[0] != place


def _check_required(
    binding: Binding,
    every: Sequence[inspect.Parameter],
    places: Sequence[str],
    names: Sequence[str],
    card: str,
) -> None:
    by_place = sum(parameter is None for parameter in binding)
    given = {*places[:by_place], *(p for p in binding if p)}
    variable = (_Kind.VAR_POSITIONAL, _Kind.VAR_KEYWORD)
    missing = [
        p.name
        for p in every
        if p.default is _Kind.empty and p.kind not in variable and p.name not in given
    ]
    if missing:
        raise InputError(
            f"the model's forward needs {listed(missing)}, which model card '{card}' has no input"
            f" for (it has {listed(list(names))}): add it to the card's 'inputs'"
        )
    if by_place > len(places):
        raise InputError(
            f"model card '{card}' has {len(names)} inputs ({listed(list(names))}), the model's"
            f" forward takes {len(places)} ({listed(list(places))}): correct the card's 'inputs'"
        )


def _tried(forward: Any, binding: Binding | None, names: Sequence[str], feeds: Feeds) -> Binding:
    """The binding, or for a ``forward`` that takes anything: by name if that works, else by
    place.
    """
    import torch

    if binding is not None:
        return binding
    values = [torch.from_numpy(array) for array in feeds.values()]
    for attempt in (tuple(names), (None,) * len(names)):
        try:
            with torch.inference_mode():
                _call(forward, attempt, values)
        except Exception as error:  # the user's own code
            failed = ModelFailed(feeds, error)
            continue
        how = "name" if attempt[0] else "place"
        progress.say(f"export: forward takes any arguments; inputs go in by {how}")
        return attempt
    raise failed


def _call(forward: Any, binding: Sequence[str | None], values: Sequence[Any]) -> Any:
    pairs = list(zip(binding, values, strict=True))
    return forward(
        *(value for parameter, value in pairs if parameter is None),
        **{parameter: value for parameter, value in pairs if parameter is not None},
    )


def arranged(result: Any, card: Card) -> tuple[Any, ...]:
    """The tensors of what a model returned, in the order of the card's outputs."""
    found = flat_outputs(result)
    names = [spec.name for spec in card.outputs]
    if len(found) != len(names):
        named = [".".join(path) for path, _ in found if path]
        remedy = (
            "correct the card's 'outputs'"
            if card.path
            else f"name them in a card, which 'portproof card {card.builder} CARD.yaml' begins, and"
            " give that as --model"
        )
        raise InputError(
            f"model card '{card.name}' has {len(names)} outputs, the model gives {len(found)}"
            f"{f' ({listed(named)})' if named else ''}: {remedy}"
        )
    keys = [_plain(path[-1]) if path else "" for path, _ in found]
    if len(set(keys)) < len(keys):
        keys = [_plain(".".join(path)) for path, _ in found]
    wanted = [_plain(name) for name in names]
    if set(wanted) == set(keys):
        return tuple(found[keys.index(key)][1] for key in wanted)
    elsewhere = [a for a, b in zip(wanted, keys, strict=True) if a != b and a in keys]
    if elsewhere:
        raise InputError(
            f"model card '{card.name}' names the outputs {listed(names, most=12)}, the model"
            f" returns {listed(['.'.join(p) for p, _ in found], most=12)}: which is which is not"
            " clear; name the card's outputs as the model does"
        )
    return tuple(tensor for _, tensor in found)


def flat_outputs(result: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    """The tensors of what a model returned, each with the keys that lead to it: one tensor, or
    those of tuples, lists, dicts, named tuples and data classes. None is left out.
    """
    import torch

    if isinstance(result, torch.Tensor):
        if result.layout != torch.strided or result.is_quantized or result.is_complex():
            raise InputError(
                f"the model returned a {result.dtype} tensor of layout {result.layout}, plain real"
                " numbers were expected: convert it in the model"
            )
        return [(path, result)]
    if result is None:
        return []
    items: list[tuple[tuple[str, ...], Any]]
    if isinstance(result, Mapping):
        items = [((*path, str(key)), value) for key, value in result.items()]
    elif hasattr(result, "_fields"):
        items = [((*path, key), getattr(result, key)) for key in result._fields]
    elif dataclasses.is_dataclass(result):
        fields = [field.name for field in dataclasses.fields(result)]
        items = [((*path, key), getattr(result, key)) for key in fields]
    elif isinstance(result, (tuple, list)):
        items = [(path, value) for value in result]
    else:
        where = f" as '{'.'.join(path)}'" if path else ""
        raise InputError(
            f"the model returned {type(result).__name__}{where}, tensors were expected: a Python"
            " value would be built into the graph; return tensors alone"
        )
    return [found for inner, value in items for found in flat_outputs(value, inner)]


def _plain(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())
