"""A user's own Python file, run as if it had been started from its folder, with nothing left behind
for others.

``sys.path`` is afterwards what it was, and the modules that came from the folder are kept under
names that only this file has, so that two files may each have a ``blocks.py`` beside them, and
neither hides a library's module of that name.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import portproof
from portproof.core import progress
from portproof.core.errors import InputError, PortProofError
from portproof.core.files import existing_file, sha256_of
from portproof.core.text import listed


def source_of(text: str, card_path: str | None = None) -> tuple[Path, str]:
    """The file and the callable's name of ``FILE.py:CALLABLE``; a relative path is relative to the
    folder of the card at ``card_path``, or to the working directory when there is no card file.

    A card names code of its own folder only: what a card from somebody else can run is then what
    came with it, and can be read beforehand.
    """
    file, _, attribute = text.rpartition(":")
    path = Path(card_path).parent / file if card_path else Path(file)
    source = existing_file(path, "the model's Python file").resolve()
    if card_path and not source.is_relative_to(Path(card_path).parent.resolve()):
        raise InputError(
            f"the model card '{card_path}' names code outside its own folder ('{file}'); that is"
            f" refused: put the file beside the card, or give --model {file}:{attribute} yourself"
        )
    return source, attribute


def load_callable(source: Path, attribute: str) -> tuple[Any, ModuleType]:
    """Run the file anew and find the callable in it. Use both inside :func:`own_folder`."""
    module = load_file(source)
    name = module.__name__
    found = getattr(module, attribute, None)
    if not callable(found):
        names = [
            n
            for n, v in vars(module).items()
            if callable(v) and not n.startswith("_") and getattr(v, "__module__", "") == name
        ]
        raise InputError(
            f"'{source}' has no callable '{attribute}'; it has {listed(names) or 'none'}"
        )
    return found, module


def load_file(source: Path) -> ModuleType:
    """Run the file anew; its module. Use both inside :func:`own_folder`.

    Whose code runs is said before it runs, once a process for each content of the file.
    """
    _say_what_runs(source, sha256_of(source))
    name = _unique_name(source)
    for old in [n for n in sys.modules if n == name or n.startswith(f"{name}__")]:
        del sys.modules[old]
    spec = importlib.util.spec_from_file_location(name, source)
    assert spec is not None and spec.loader is not None  # both are set for a path that ends in .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@functools.cache
def _say_what_runs(source: Path, sha256: str) -> None:
    progress.say(
        f"running the code that a card, a suite or an option names: '{source}' (SHA-256"
        f" {sha256[:12]}), and what it imports"
    )


def imported_files(source: Path) -> list[Path]:
    """The file, and after it those of its folder that it has imported in this process."""
    unique = _unique_name(source)
    imported = {
        getattr(m, "__file__", None)
        for name, m in list(sys.modules.items())
        if name.startswith(f"{unique}__")
    }
    return [source, *sorted(Path(f) for f in imported if f)]


@contextlib.contextmanager
def own_folder(source: Path) -> Iterator[None]:
    """Inside the block the file's folder is importable, before anything else, and the checkout of
    PortProof is not.

    Whatever the user's code raises becomes one sentence with the line of theirs where it happened.
    An import that the model makes only when it runs, after the block, does not find the folder.
    """
    hidden = _set_aside(source.parent)
    path_before, known = list(sys.path), set(sys.modules)
    own = {Path(p).resolve() for p in portproof.__path__}
    sys.path[:] = [
        str(source.parent),
        *(p for p in path_before if p and Path(p).resolve() not in own),
    ]
    try:
        with _errors_of(source):
            yield
    finally:
        sys.path[:] = path_before
        _rename_new_modules(source, known)
        sys.modules.update(hidden)


def _unique_name(source: Path) -> str:
    return f"portproof_model_{hashlib.sha256(os.fsencode(source)).hexdigest()[:16]}"


def _set_aside(folder: Path) -> dict[str, ModuleType]:
    """Take modules out of ``sys.modules`` whose names the folder has too (a vendored copy of timm,
    say), so that the folder's are found.
    """
    names = {p.stem for p in folder.glob("*.py")} | {
        p.parent.name for p in folder.glob("*/__init__.py")
    }
    names -= set(sys.stdlib_module_names) | {"torch", "numpy", "portproof"}
    clashing = [n for n in sys.modules if n.partition(".")[0] in names]
    return {name: sys.modules.pop(name) for name in clashing}


def _rename_new_modules(source: Path, known: set[str]) -> None:
    unique = _unique_name(source)
    for name in [
        n
        for n in sys.modules
        if n not in known and n != unique and _is_inside(sys.modules[n], source.parent)
    ]:
        module = sys.modules.pop(name)
        # The module's own name changes too: torch.compile looks a function's globals up by it.
        module.__name__ = f"{unique}__{name}"
        sys.modules[module.__name__] = module


def _is_inside(module: ModuleType, folder: Path) -> bool:
    file = Path(str(getattr(module, "__file__", None) or os.sep))
    return file.is_relative_to(folder) and not {"site-packages", "dist-packages"} & set(
        file.relative_to(folder).parts
    )


@contextlib.contextmanager
def _errors_of(source: Path) -> Iterator[None]:
    try:
        yield
    except PortProofError:
        raise
    except Exception as error:
        frames = [
            f
            for f in traceback.extract_tb(error.__traceback__)
            if Path(f.filename).is_relative_to(source.parent)
        ]
        line = frames[-1].lineno if frames else getattr(error, "lineno", None)
        where = f"'{frames[-1].filename if frames else source}'" + (
            f", line {line}" if line else ""
        )
        raise InputError(
            f"the model's code failed in {where}: {type(error).__name__}: {error}; correct it"
        ) from error
