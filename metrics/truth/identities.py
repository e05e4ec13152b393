"""Who is in a picture: queries, and the gallery that they are looked for in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from portproof.core.errors import InputError
from portproof.core.files import read_text
from portproof.manifest import sample_id
from portproof.metrics.truth import Truth
from portproof.metrics.truth.by_name import refuse_doubles

QUERIES, GALLERY = "query.txt", "gallery.txt"
_FORM = "'<name> <identity> [<camera>]' for every sample"


@dataclass(frozen=True)
class Who:
    """``identity``: whose picture it is; ``camera``: who took it, empty where nothing says it."""

    identity: str
    camera: str = ""


def read_identities(path: Path) -> Truth:
    """A folder with ``query.txt`` and ``gallery.txt``, or one file, in which every sample is looked
    for among all others; a line is ``<name> <identity> [<camera>]``.

    The samples are the queries; ``facts["gallery"]`` is the gallery, by id.
    """
    if not path.is_dir():
        everyone = _who(path)
        return Truth(samples=everyone, files=[path], facts={"gallery": everyone, "one_file": True})
    queries, gallery = _who(path / QUERIES), _who(path / GALLERY)
    both = sorted(set(queries) & set(gallery))
    if both:
        raise InputError(
            f"'{path}': the sample '{both[0]}' is in {QUERIES} and in {GALLERY}; one file with"
            " every sample in it looks for each among all others"
        )
    return Truth(
        samples=queries,
        files=[path / QUERIES, path / GALLERY],
        facts={"gallery": gallery, "one_file": False},
    )


def _who(path: Path) -> dict[str, Who]:
    what = f"identities '{path}'"
    lines = [
        (number, line.split())
        for number, line in enumerate(read_text(path, "identities").split("\n"), start=1)
        if line.strip()
    ]
    bad = next((number for number, fields in lines if len(fields) not in (2, 3)), 0)
    if bad:
        raise InputError(f"{what}, line {bad}: {_FORM} was expected")
    if not lines:
        raise InputError(f"{what} are empty: {_FORM} was expected")
    refuse_doubles([sample_id(fields[0]) for _, fields in lines], what)
    return {sample_id(fields[0]): Who(*fields[1:]) for _, fields in lines}
