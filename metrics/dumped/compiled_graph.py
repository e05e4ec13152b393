"""The graph that ATC compiled, as ``atc --mode=1 --om=MODEL.om --json=FILE`` writes it: which nodes
of the model each operator is made of, and the layout of what it gives.

Source: ``fusion_rule_parser.py`` in
https://github.com/Ascend/msprobe/tree/master/python/msprobe/msaccucmp/vector_cmp/fusion_manager.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from portproof.core.errors import InputError
from portproof.core.files import read_file
from portproof.core.jsonfile import json_in
from portproof.metrics.dumped.original_nodes import plain


@dataclass(frozen=True)
class Given:
    """What an operator gives: the node of the model and which of its outputs, or None for what the
    compiler put in; the shape and order in the model, and the layout on the device, empty where the
    file does not say.
    """

    origin: tuple[str, int] | None
    original: tuple[int, ...]
    order: str
    layout: str


@dataclass(frozen=True)
class Compiled:
    """An operator: its name as the compiler writes it, its type, what it reads (names as in a dump,
    with the number of the output) and gives.
    """

    name: str
    type: str
    reads: tuple[tuple[str, int], ...]
    gives: tuple[Given, ...]


def read(path: Path) -> dict[str, Compiled]:
    """The operators by the names that their dump files bear; :class:`InputError` for a file that is
    none.
    """
    try:
        data = json_in(read_file(path, "compiled graph"))
        operators = [_compiled(op) for graph in data["graph"] for op in graph.get("op", [])]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise InputError(
            f"'{path}' is not a model as JSON ({error!r}): what atc --mode=1 --om=MODEL.om"
            " --json=FILE writes was expected"
        ) from error
    found: dict[str, Compiled] = {}
    for operator in operators:
        if found.setdefault(plain(operator.name), operator).name != operator.name:
            raise InputError(
                f"'{path}' has the operators '{operator.name}' and"
                f" '{found[plain(operator.name)].name}', whose dump files have one name: leave"
                " --om-json out"
            )
    return found


def _compiled(op: dict[str, Any]) -> Compiled:
    attributes = _attributes(op)
    made_of = attributes.get("_datadump_original_op_names")
    names = [op["name"]] if made_of is None else made_of.get("list", {}).get("s", [])
    names = [str(name) for name in names if name]
    descriptions = op.get("output_desc", [])
    gives = [_given(part, at, names) for at, part in enumerate(descriptions)]
    reads = []
    for read_ in op.get("input", []):
        name, _, output = str(read_).rpartition(":")
        if name and output.isdecimal():  # a control edge has the number -1
            reads.append((plain(name), int(output)))
    return Compiled(str(op["name"]), str(op["type"]), tuple(reads), tuple(gives))


def _given(part: dict[str, Any], at: int, names: list[str]) -> Given:
    attributes = _attributes(part)

    def text(key: str) -> str:
        return str(attributes.get(key, {}).get("s", ""))

    node = text("_datadump_origin_name") or (names[-1] if names and not at else "")
    output = int(attributes.get("_datadump_origin_output_index", {}).get("i", at))
    dims = attributes.get("origin_shape", {}).get("list", {}).get("i", [])
    shape = tuple(int(d) for d in dims)
    return Given(
        (node, output) if node and names else None,
        shape if min(shape, default=0) >= 0 else (),
        text("_datadump_origin_format") or text("origin_format"),
        str(part.get("layout", "")),
    )


def _attributes(part: dict[str, Any]) -> dict[str, Any]:
    return {str(entry["key"]): entry.get("value", {}) for entry in part.get("attr", [])}
