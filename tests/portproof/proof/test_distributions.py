"""Versions of distributions are those that Python's own reader gives."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

import pytest

from portproof.proof.distributions import version_of
from portproof.proof.sidecar import versions_of


def test_every_installed_distribution() -> None:
    names = {d.metadata["Name"] for d in importlib.metadata.distributions()}
    right = {name: importlib.metadata.version(name) for name in names if name}
    assert len(right) > 20
    assert versions_of(right) == right
    spelled = {name.replace("-", "_").upper(): version for name, version in right.items()}
    assert versions_of(spelled) == spelled


@pytest.mark.parametrize(
    ("entries", "version"),
    [
        ({"Foo_Bar-1.0.dist-info/METADATA": "Name: Foo-Bar\nVersion: 1.0\n\nVersion: 9\n"}, "1.0"),
        ({"foo_bar-1.dist-info/METADATA": "Name: foo-bar\nVersion:  1.0+cu121\n"}, "1.0+cu121"),
        ({"foo_bar.egg-info/PKG-INFO": "Name: foo-bar\nVersion: 2.0\n"}, "2.0"),
        ({"foo_bar_more-3.dist-info/METADATA": "Name: foo-bar-more\nVersion: 3\n"}, None),
        ({"foo-3.dist-info/METADATA": "Name: foo\nVersion: 3\n"}, None),
        ({}, None),
    ],
)
def test_one_in_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entries: dict[str, str], version: str | None
) -> None:
    for name, text in entries.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(sys, "path", ["/absent", str(tmp_path), *sys.path])
    importlib.invalidate_caches()
    assert version_of("foo-bar") == version
    try:
        assert importlib.metadata.version("foo.bar") == version
    except importlib.metadata.PackageNotFoundError:
        assert version is None


def test_the_first_folder_of_the_path_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2):
        folder = tmp_path / f"{number}" / f"foo-{number}.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Name: foo\nVersion: {number}\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "2"), str(tmp_path / "1")])
    assert version_of("foo") == "2"
