"""Write dates as people write them, and as ISO 8601 has them; some have a misspelled month."""

from __future__ import annotations

import datetime
import os
import sys
from pathlib import Path

EXAMPLES = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[0] = os.path.join(os.path.dirname(EXAMPLES), "src")
sys.path.insert(1, EXAMPLES)

import numpy as np
from parts.making import data_command

from portproof.core.files import write_text

SIZES = {"train": 4000, "val": 800}
FORMS = (
    "{day} {month} {year}",
    "{month} {day}, {year}",
    "{day}. {month:.3} {year}",
    "{n}/{day}/{year}",
)
MISSPELLED = 0.1


def write(out: Path, part: str, count: int, rng: np.random.Generator) -> list[Path]:
    """The dates of a part; which part a date is in is its own matter, so the parts share none."""
    texts, dates = list[str](), list[str]()
    while len(texts) < count:
        date = datetime.date(1950, 1, 1) + datetime.timedelta(int(rng.integers(36500)))
        if (date.toordinal() % 5 == 0) != (part == "val"):
            continue
        name = f"date_{part}_{len(texts):05d}"
        texts.append(f"{name}\t{_written(rng, date)}\n")
        dates.append(f"{name}\t{date.isoformat()}\n")
    files = [out / f"{part}.tsv", out / f"{part}.txt"]
    for path, lines in zip(files, (texts, dates), strict=True):
        write_text(path, "".join(lines))
    return files


def _written(rng: np.random.Generator, date: datetime.date) -> str:
    form, month = FORMS[int(rng.integers(len(FORMS)))], date.strftime("%B")
    if rng.random() < MISSPELLED:
        at = int(rng.integers(1, len(month)))
        month = month[:at] + month[at + 1 :]
    return form.format(day=date.day, month=month, n=date.month, year=date.year)


if __name__ == "__main__":
    data_command("Write dates in many forms, and in one.", SIZES, write, __file__)
