"""Versions of installed distributions, without importing them. Python's own reader of their
metadata takes longer to import than most of what a short command does, so it is asked only where
the usual folder ``<name>-<version>.dist-info`` does not answer.

Source: https://packaging.python.org/en/latest/specifications/recording-installed-packages/
"""

from __future__ import annotations

import os
import re
import sys

#: What folders and files that record a distribution end in.
_ENDINGS = (".dist-info", ".egg-info", ".egg")


def version_of(name: str) -> str | None:
    """The version of an installed distribution; None if it is not installed."""
    return _in_folders(name) or _by_importlib(name)


def _in_folders(name: str) -> str | None:
    """The version that the first folder of the path with this distribution says; None where there
    is no such folder, or more than one answer in it.
    """
    wanted = _plain(name)
    for folder in sys.path:
        try:
            entries = os.listdir(folder or ".")
        except OSError:
            continue
        own = [e for e in entries if e.endswith(_ENDINGS) and _distribution(e) == wanted]
        if own:
            is_clear = len(own) == 1 and own[0].endswith(".dist-info")
            return _stated(os.path.join(folder, own[0], "METADATA")) if is_clear else None
    return None


def _distribution(entry: str) -> str:
    """The plain name of the distribution whose record a folder or file is.

    >>> _distribution("opencv_python-4.9.0.dist-info"), _distribution("Foo.egg-info")
    ('opencv_python', 'foo')
    """
    return _plain(os.path.splitext(entry)[0].partition("-")[0])


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "_", name).lower()


def _stated(path: str) -> str | None:
    """The version in a file of metadata, whose head ends with an empty line."""
    try:
        with open(path, encoding="utf-8") as file:
            for line in file:
                if line.startswith("Version:"):
                    return line.partition(":")[2].lstrip(" \t").rstrip("\r\n") or None
                if not line.strip():
                    return None
    except (OSError, UnicodeDecodeError):
        return None
    return None


def _by_importlib(name: str) -> str | None:
    import importlib.metadata

    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
