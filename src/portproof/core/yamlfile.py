"""YAML files of facts (model cards, targets, recipes, suites), read into typed records with errors
that name the line.

Only the safe subset is read: no tags, no aliases, no duplicate keys.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

import portproof
from portproof.core.errors import InputError
from portproof.core.files import read_text

T = TypeVar("T")

#: More than any file of facts has.
_MOST_CHARACTERS, _MOST_DEPTH = 1_000_000, 100


def load_yaml(path: str | os.PathLike[str], kind: type[T], what: str) -> T:
    """Read a YAML document into a record; :class:`InputError` has file, line and reason."""
    text = read_text(path, what)
    _refuse_bombs(text, f"{what} '{path}'")
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is not None:
            _refuse_duplicates(root, set())
        data = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise InputError(f"{what} '{path}'{line}: not valid YAML: {error.problem}") from error
    # Numbers of thousands of digits, impossible dates and wrongly tagged values end in ValueError.
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise InputError(
            f"{what} '{path}': not valid YAML: {' '.join(str(error).split())}; correct the file"
        ) from error
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `")
        # A record's own check names the field that is wrong first: "`size`: ...".
        if field := re.match(r"`([\w.\[\]]+)`: ", reason):
            reason, place = reason[field.end() :], f"{place.rstrip('`') or '$'}.{field.group(1)}"
        raise InputError(
            f"{what} '{path}', line {_line_of(root, place, reason)}: {reason}{_readable(place)};"
            " correct the file"
        ) from error


def _refuse_bombs(text: str, what: str) -> None:
    """Refuse what a parser would be busy with for long: facts are small and flat."""
    if len(text) > _MOST_CHARACTERS:
        raise InputError(f"{what} has over {_MOST_CHARACTERS} characters: is it the right file?")
    depth = 0
    for bracket in re.finditer(r"[\[\]{}]", text):
        depth += 1 if bracket[0] in "[{" else -1
        if depth > _MOST_DEPTH:
            raise InputError(
                f"{what} is nested deeper than {_MOST_DEPTH} brackets; correct the file"
            )


def _readable(place: str) -> str:
    name = place.rstrip("`").removeprefix("$").lstrip(".")
    return f" (at {name})" if name else ""


def _line_of(root: yaml.Node | None, place: str, reason: str) -> int:
    """The line of a place such as ``$.inputs[0].shape``: of the deepest part that is in the file,
    or of an unknown key itself.
    """
    node, line = root, 1
    unknown = re.search(r"unknown field `([^`]*)`", reason)
    parts = re.findall(r"\.([A-Za-z_][\w-]*)|\[(\d+|\.\.\.)\]", place)
    for key, index in [*parts, *([(unknown.group(1), "")] if unknown else [])]:
        if isinstance(node, yaml.MappingNode) and key:
            pair = next(((k, v) for k, v in node.value if k.value == key), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif (
            isinstance(node, yaml.SequenceNode) and index.isdigit() and int(index) < len(node.value)
        ):
            node = node.value[int(index)]
            line = node.start_mark.line + 1
        else:
            break
    return line


def _refuse_duplicates(node: yaml.Node, known: set[int]) -> None:
    """Refuse a key that occurs twice, and aliases, which can expand beyond any memory."""
    if id(node) in known:
        raise yaml.MarkedYAMLError(
            problem="aliases (*name) are not read here; write the value out",
            problem_mark=node.start_mark,
        )
    known.add(id(node))
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(
                    problem="a key must be text, not a list or an object",
                    problem_mark=key.start_mark,
                )
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key '{key.value}' is there twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
            _refuse_duplicates(value, known)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_duplicates(item, known)


def data_folder(kind: str) -> Path:
    """The folder of a kind of facts (``models``, ``targets``, ...) in ``catalog``, or ``examples``:
    at the top of the checkout, or inside the installed package.
    """
    for base in portproof.__path__:
        for folder in (Path(base, "catalog", kind), Path(base, kind)):
            if folder.is_dir():
                return folder
    raise InputError(
        f"the folder '{kind}' is missing from this installation of portproof; install it again"
    )


def names_in(kind: str) -> list[str]:
    """The names of the YAML files of a kind in the catalog, sorted."""
    return sorted(p.stem for p in data_folder(kind).glob("*.yaml"))


def data_file(kind: str, text: str, what: str, hint: str) -> Path:
    """The YAML file that a user names: by its name in the catalog, by ``<kind>/<name>.yaml``, or by
    a path of its own. :class:`InputError` lists the names in the catalog; ``hint``: what else may
    be given.
    """
    path, names = Path(text), names_in(kind)
    if path.suffix in (".yaml", ".yml") or os.sep in text:
        in_catalog = path.parent == Path(kind) and path.stem in names and not path.exists()
        return data_folder(kind) / path.name if in_catalog else path
    if text not in names:
        raise InputError(f"there is no {what} '{text}'; there are {', '.join(names)}; {hint}")
    return data_folder(kind) / f"{text}.yaml"


def as_data(record: msgspec.Struct) -> Any:
    """A record as plain JSON values, for sidecars."""
    return msgspec.to_builtins(record)
