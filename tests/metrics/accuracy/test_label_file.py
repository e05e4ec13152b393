"""Label files: many usual lines at once are read as one line after the other is."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from portproof.core.errors import InputError
from portproof.metrics.accuracy import label_file
from portproof.metrics.accuracy.label_file import label_columns, read_labels

usual = st.builds(
    "{}{} {}\n".format,
    st.text("ab-_01", min_size=1, max_size=4),
    st.sampled_from(["", ".JPEG", ".a.b", "."]),
    st.integers(0, 10**9 - 1),
)
unusual = st.text("a1./ \t\n\r\0é\u00a0\u2028", max_size=9)


def by_lines(text: str) -> dict[str, int] | None:
    """A reader of its own: line by line, field by field; None for what is to be refused."""
    found: dict[str, int] = {}
    for line in re.split("\r\n|\r|\n", text.removeprefix("\ufeff")):
        if not line.strip():
            continue
        fields = [f for f in re.split("[ \t]", line) if f]
        if len(fields) != 2 or len(fields[0].split()) != 1 or fields[0].strip() != fields[0]:
            return None
        sample = os.path.basename(fields[0]).split(".")[0]
        if not re.fullmatch("[0-9]{1,9}", fields[1]) or not sample or sample in found:
            return None
        found[sample] = int(fields[1])
    return found or None


@settings(max_examples=400, deadline=None)
@given(lines=st.lists(usual | unusual, max_size=6), chunk=st.sampled_from([1, 9, 1 << 20]))
@example(lines=["\ufeffa 1\n"], chunk=1 << 20)
@example(lines=["a 1\n", "b 2"], chunk=1 << 20)
@example(lines=["a 1\r\n", "b 2\r\n"], chunk=3)
@example(lines=["a 1\n", "b \n", "c 12 3\n"], chunk=1 << 20)
@example(lines=["a 1\n", ".b 2\n"], chunk=1 << 20)
@example(lines=["a. 1234567890\n"], chunk=1 << 20)
@example(lines=["a\x01b 1\n"], chunk=1 << 20)
def test_against_a_reader_of_single_lines(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], chunk: int
) -> None:
    path = tmp_path_factory.mktemp("labels") / "labels.txt"
    text = "".join(lines)
    path.write_bytes(text.encode("utf-8"))
    expected = by_lines(text)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(label_file, "_CHUNK", chunk + 3)
        for is_plain in (True, False):
            if not is_plain:
                patched.setattr(label_file, "plain_columns", lambda lines: None)
            if expected is None:
                with pytest.raises(InputError):
                    read_labels(path)
            else:
                assert list(read_labels(path).items()) == list(expected.items())


def test_the_line_that_is_wrong_is_named_behind_many_usual_ones(tmp_path: Path) -> None:
    usual = [f"ILSVRC2012_val_{i:08d}.JPEG {i % 1000}\n" for i in range(60_000)]
    path = tmp_path / "labels.txt"
    path.write_text("".join([*usual, "one two\n"]), encoding="ascii")
    with pytest.raises(InputError, match="line 60001"):
        label_columns(path)
    path.write_text("".join([*usual, usual[7]]), encoding="ascii")
    with pytest.raises(InputError, match=r"1 sample ids .*\(ILSVRC2012_val_00000007\)"):
        label_columns(path)
    path.write_bytes("".join(usual).encode() + b"\xff 1\n")
    with pytest.raises(InputError, match="not UTF-8 text"):
        label_columns(path)
    path.write_text("".join(usual), encoding="ascii")
    labels = label_columns(path)
    assert np.array_equal(labels.classes, np.arange(60_000) % 1000)
    assert labels.ids[59_999] == "ILSVRC2012_val_00059999"
