"""JSON files that hold one typed record, with the version of its schema in the field ``schema``."""

from __future__ import annotations

import contextlib
import os
from typing import Any, TypeVar

import msgspec

from portproof.core.errors import InputError
from portproof.core.files import read_file

Record = TypeVar("Record", bound=msgspec.Struct)


def json_in(data: bytes) -> Any:
    """The decoded JSON document; :class:`ValueError` for anything else, such as lists nested deeper
    than can be read.
    """
    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from error


def read_record(
    path: str | os.PathLike[str], kind: type[Record], schema: str, what: str, remedy: str
) -> Record:
    """Read a record; :class:`InputError` if the file is damaged or of another schema version.

    ``what`` names the file in the error, as in ``performance file``; ``remedy`` says what to do.
    """
    data = None
    with contextlib.suppress(ValueError):
        data = json_in(read_file(path, what))
    return record_from(data, kind, schema, f"{what} '{os.fspath(path)}'", remedy)


def record_from(data: Any, kind: type[Record], schema: str, what: str, remedy: str) -> Record:
    """The record in decoded JSON; errors as of :func:`read_record`. ``what`` names the file too."""
    if not isinstance(data, dict):
        raise InputError(f"{what} is damaged (a JSON object was expected); {remedy}")
    if data.get("schema") != schema:
        raise InputError(
            f"{what} has the schema {data.get('schema')!r}, this version reads {schema!r}; {remedy}"
        )
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        raise InputError(f"{what} is damaged ({error}); {remedy}") from error


def one_record_a_line(value: msgspec.Struct) -> bytes:
    """The JSON text, one line a field, and one line an item of a list, for readable diffs."""
    fields = []
    for name in value.__struct_fields__:
        field = getattr(value, name)
        text = msgspec.json.encode(field)
        if isinstance(field, list) and field:
            text = b"[\n  " + b",\n  ".join(map(msgspec.json.encode, field)) + b"\n ]"
        fields.append(b' "' + name.encode() + b'": ' + text)
    return b"{\n" + b",\n".join(fields) + b"\n}\n"
