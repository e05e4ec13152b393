"""JSON files that hold one typed record, with the version of its schema in the field ``schema``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from portproof.core.errors import InputError

Record = TypeVar("Record", bound=msgspec.Struct)


def read_record(
    path: str | os.PathLike[str], kind: type[Record], schema: str, what: str, remedy: str
) -> Record:
    """Read a record; :class:`InputError` if the file is damaged or of another schema version.

    ``what`` names the file in the error, as in ``performance file``; ``remedy`` says what to do.
    """
    try:
        data = msgspec.json.decode(Path(path).read_bytes(), type=dict[str, Any])
        if data.get("schema") != schema:
            raise InputError(
                f"the {what} '{path}' has the schema {data.get('schema')!r}, this version reads"
                f" {schema!r}; {remedy}"
            )
        return msgspec.convert(data, kind)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise InputError(
            f"'{path}' is not a {what} of PortProof, or is damaged ({error}); {remedy}"
        ) from error


def one_record_a_line(value: msgspec.Struct) -> bytes:
    """The JSON text, one line a field, and in a list one line an item, so that a diff stays
    readable.
    """
    fields = []
    for name in value.__struct_fields__:
        field = getattr(value, name)
        text = msgspec.json.encode(field)
        if isinstance(field, list) and field:
            text = b"[\n  " + b",\n  ".join(map(msgspec.json.encode, field)) + b"\n ]"
        fields.append(b' "' + name.encode() + b'": ' + text)
    return b"{\n" + b",\n".join(fields) + b"\n}\n"
