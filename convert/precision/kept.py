"""The nodes that keep float32 when the rest of a model loses precision."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from portproof.core.errors import InputError
from portproof.core.files import read_text
from portproof.core.text import listed

if TYPE_CHECKING:
    import onnx


def names_given(words: Sequence[str]) -> tuple[str, ...]:
    """The names of nodes as a user gives them: each word is a name, or a file with a name a line
    (lines with ``#`` are comments).
    """
    names: list[str] = []
    for word in words:
        if Path(word).is_file():
            lines = (line.strip() for line in read_text(word, "list of nodes").splitlines())
            names += [line for line in lines if line and not line.startswith("#")]
        else:
            names.append(word)
    return tuple(dict.fromkeys(names))


def name_of(node: onnx.NodeProto) -> str:
    """A node's name, or one that is made of what it computes."""
    return node.name or f"node_of_{next(filter(None, node.output), '')}"


def kept_nodes(model: onnx.ModelProto, kept: Collection[str], path: Path) -> list[str]:
    """The names of the nodes that are meant, by their name or by an output; nodes without a name
    get one. :class:`InputError` for a name that is no node's.
    """
    if not kept:
        return []
    for node in model.graph.node:
        node.name = name_of(node)
    meant = [n for n in model.graph.node if n.name in kept or any(o in kept for o in n.output)]
    known = {name for node in meant for name in (node.name, *node.output)}
    unknown = sorted(set(kept) - known)
    if unknown:
        raise InputError(
            f"'{path}' has no node, and no result of a node, named {listed(unknown)}: give names as"
            " metrics/layers.py prints them"
        )
    return [node.name for node in meant]
