"""Records in JSON files: read back as written, refused by version or damage, and readable."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portproof.core.errors import InputError
from portproof.core.jsonfile import one_record_a_line, read_record


class Item(msgspec.Struct):
    name: str
    values: list[float]


class Record(msgspec.Struct):
    schema: str
    items: list[Item]
    notes: list[str]
    facts: dict[str, int]


def read(path: Path) -> Record:
    return read_record(path, Record, "test/2", "list of items", "write it again")


@given(
    st.lists(
        st.builds(
            Item, st.text(), st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32))
        )
    ),
    st.lists(st.text()),
    st.dictionaries(st.text(), st.integers(-(2**60), 2**60)),
)
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_record_is_read_back_and_has_a_line_an_item(
    tmp_path: Path, items: list[Item], notes: list[str], facts: dict[str, int]
) -> None:
    try:
        "".join([*notes, *facts, *(i.name for i in items)]).encode()
    except UnicodeEncodeError:
        return
    record = Record("test/2", items, notes, facts)
    text = one_record_a_line(record)
    (tmp_path / "a.json").write_bytes(text)
    assert read(tmp_path / "a.json") == record
    assert json.loads(text) == json.loads(msgspec.json.encode(record))
    lists = sum(len(x) + 1 for x in (items, notes) if x)
    assert text.count(b"\n") == 2 + len(msgspec.structs.fields(Record)) + lists


@pytest.mark.parametrize("text", ["", "[]", "{", '{"schema": "test/2"}', "null", "\ud800"])
def test_what_is_no_record_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(
        InputError, match=r"list of items '.*a\.json' is damaged \(.*\); write it again"
    ):
        read(tmp_path / "a.json")


@pytest.mark.parametrize("version", ["test/1", "test/3", None])
def test_another_version_is_refused_with_a_remedy(tmp_path: Path, version: str | None) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"schema": version, "other": "fields"}))
    with pytest.raises(InputError, match="this version reads 'test/2'; write it again"):
        read(tmp_path / "a.json")
