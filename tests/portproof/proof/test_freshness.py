"""What is still up to date: reasons for single files, listings, and what this host lacks."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import msgspec
import pytest

from portproof.proof.freshness import (
    first_difference,
    lacking_here,
    listing_digest,
    made_from_others,
    stale_because,
)
from portproof.proof.sidecar import Proof, read_proof, stored_path, versions_of
from portproof.proof.work import Work


def made(root: Path, source: Path, **parameters: object) -> Proof:
    work = Work("copy", root / "out.txt", inputs={"source": [source]}, parameters=parameters)
    work.begin()
    (root / "out.txt").write_bytes(source.read_bytes())
    return work.finish([root / "out.txt"])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


def test_a_file_from_outside_that_is_gone_is_lacking_here(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "weights.pth"
    outside.write_text("w")
    proof = made(root, outside)
    assert lacking_here(proof, root) is None
    outside.unlink()
    assert lacking_here(proof, root) == f"'{outside}'"
    (root / "out.txt").write_text("another")
    assert lacking_here(proof, root) is None  # then it is not whole, which is another reason


def test_an_input_that_is_here_is_compared_and_one_that_is_not_cannot_be(
    root: Path, tmp_path: Path
) -> None:
    source = tmp_path / "in.txt"
    source.write_text("one")
    proof = made(root, source)
    assert made_from_others(proof, root) is None
    source.write_text("two")
    assert "changed" in str(made_from_others(proof, root))
    source.unlink()
    assert made_from_others(proof, root) is None


def test_files_of_a_folder_are_compared_by_its_sidecar(root: Path) -> None:
    folder = root / "prep"
    folder.mkdir()
    (folder / "a.bin").write_text("a")
    inner = Work("preprocess", folder, inputs={}, parameters={})
    inner.begin()
    inner.finish([folder / "a.bin"])
    proof = made(root, folder / "a.bin")
    # Its bytes are others, but the folder's own sidecar is what later stages believe.
    (folder / "a.bin").write_text("b")
    assert made_from_others(proof, root) is None


def listing(root: Path, *endings: str) -> Proof:
    """A stage that read a folder of results as a listing, one digest an ending."""
    folder = root / "result"
    folder.mkdir()
    for name in ("a_1.bin", "b_1.bin", "a_2.bin", "b_2.bin"):
        (folder / name).write_text(name)
    inner = Work("infer", folder, inputs={}, parameters={})
    inner.begin()
    inner.finish(sorted(folder.iterdir()))
    known = [[e, "float32", listing_digest(folder, ["a", "b"], e)] for e in endings]
    sidecar = root / "result.proof.json"
    work = Work(
        "evaluate",
        root / "r.json",
        inputs={"result": [sidecar]},
        parameters={"result files": known[0][-1] if len(known) == 1 else known},
    )
    work.begin()
    (root / "r.json").write_text("{}")
    work.finish([root / "r.json"])
    return read_proof(root / "r.json.proof.json")


@pytest.mark.parametrize("endings", [("_1.bin",), ("_1.bin", "_2.bin")])
def test_a_listing_of_some_outputs_is_up_to_date_until_a_file_changes(
    root: Path, endings: tuple[str, ...]
) -> None:
    proof = listing(root, *endings)
    assert stale_because(proof, root) is None
    status = os.stat(root / "result/a_1.bin")
    os.utime(root / "result/a_1.bin", ns=(1, status.st_mtime_ns + 1))
    assert stale_because(proof, root) is not None


def test_hidden_files_are_no_results(root: Path) -> None:
    folder = root / "result"
    folder.mkdir()
    (folder / "a.bin").write_text("a")
    inner = Work("infer", folder, inputs={}, parameters={})
    inner.begin()
    inner.finish([folder / "a.bin"])
    whole = listing_digest(folder, ["a.bin"], "")
    work = Work(
        "topn", root / "r.json", inputs={"result": [root / "result.proof.json"]},
        parameters={"result files": whole},
    )  # fmt: skip
    work.begin()
    (root / "r.json").write_text("{}")
    proof = work.finish([root / "r.json"])
    (folder / ".nfs0001").touch()
    assert stale_because(proof, root) is None
    shutil.copy(folder / "a.bin", folder / "b.bin")
    assert stale_because(proof, root) is not None


@pytest.mark.parametrize(
    ("path", "stored"),
    [
        ("root", "."),
        ("root/a.txt", "a.txt"),
        ("root/b/c.txt", "b/c.txt"),
        ("root-other/a.txt", None),
        ("a.txt", None),
    ],
)
def test_paths_inside_the_root_are_stored_relative(
    tmp_path: Path, path: str, stored: str | None
) -> None:
    expected = stored if stored is not None else str(tmp_path / path)
    assert stored_path(tmp_path / path, tmp_path / "root") == expected


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ({"a": "1"}, {"a": "1"}, None),
        ({"b": "1", "a": "1"}, {"b": "2", "a": "2"}, "a was '1', now '2'"),
        ({"a": "1"}, {}, "a was '1', now None"),
        ({}, {"a": "1"}, "a was None, now '1'"),
    ],
)
def test_the_first_difference_may_be_one_that_came_or_went(
    old: dict[str, str], new: dict[str, str], said: str | None
) -> None:
    assert first_difference(old, new) == said


def test_a_package_that_is_not_installed_is_lacking_here(root: Path) -> None:
    (root / "in.txt").write_text("one")
    proof = made(root, root / "in.txt")
    here = msgspec.structs.replace(proof, versions=versions_of(["msgspec", "pytest"]))
    assert lacking_here(here, root) is None
    gone = msgspec.structs.replace(proof, versions={**here.versions, "no-such-package": "1"})
    assert lacking_here(gone, root) == "the package 'no-such-package'"


@pytest.mark.parametrize("parameters", [{}, {"source files": "of something else"}])
def test_only_a_folder_that_was_read_as_a_listing_has_one(
    root: Path, parameters: dict[str, object]
) -> None:
    """Neither a folder that was read file by file, nor a file, whatever the parameters say."""
    listing(root, "_1.bin")
    sidecar, plain = root / "result.proof.json", root / "in.txt"
    plain.write_text("one")
    assert stale_because(made(root, plain if parameters else sidecar, **parameters), root) is None


def test_all_listings_of_a_folder_may_have_been_read(root: Path) -> None:
    proof = listing(root, "_1.bin", "_2.bin")
    known = proof.parameters["result files"]
    names = sorted(p.name for p in (root / "result").iterdir())
    assert isinstance(known, list)
    known.append(["", "float32", listing_digest(root / "result", names, "")])
    assert stale_because(proof, root) is None
