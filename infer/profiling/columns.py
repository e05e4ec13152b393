"""CSV files of a profiler by the names of their columns, whose case differs between versions."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from portproof.core.errors import InputError
from portproof.core.files import read_text


class Table:
    """The rows of a file, by column name in small letters; ``needed`` columns must be there."""

    def __init__(self, path: Path, needed: Sequence[str]) -> None:
        self.path = path
        self.rows: list[dict[str, str]]
        reader = csv.reader(io.StringIO(read_text(path, "profile")))
        try:
            header = [name.strip().lower() for name in next(reader, [])]
            missing = [name for name in needed if name not in header]
            if missing:
                raise InputError(
                    f"'{path}' has no column '{missing[0]}'; it has {', '.join(header)}"
                )
            self.rows = []
            for row in filter(None, reader):
                if len(row) < len(header):
                    raise InputError(
                        f"'{path}', line {reader.line_num}, has {len(row)} of {len(header)}"
                        " columns: the file is cut off; export it again"
                    )
                self.rows.append(dict(zip(header, (c.strip() for c in row), strict=False)))
        except csv.Error as error:
            raise InputError(f"'{path}' is not a whole CSV file: {error}") from error

    def number(self, row: Mapping[str, str], name: str) -> float | None:
        """A cell as a number; None for what msprof does not know (``N/A``, nothing)."""
        text = row[name]
        if text in ("", "N/A", "--"):
            return None
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or value < 0:
            raise InputError(f"'{self.path}': '{text}' under '{name}' is no time or count")
        return value
