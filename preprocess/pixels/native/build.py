"""C files compiled where a compiler is, once, into a cache folder."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
from collections.abc import Sequence
from pathlib import Path

from portproof.core.drafts import draft_folder

#: No fused multiply-add: Pillow's coefficients are computed without.
_FLAGS = ("-std=c11", "-O3", "-ffp-contract=off", "-fPIC", "-shared")
_COMPILE_SECONDS = 120


class CoreUnavailable(Exception):
    """Why compiled code cannot be used here, in a few words."""


def library(name: str, folder: Path, sources: Sequence[str], headers: Sequence[str]) -> Path:
    """The library made of some C files of a folder, in the cache, named by everything that decides
    its bytes; :class:`CoreUnavailable` when it is not there and cannot be made.
    """
    compiler = next(
        (
            path
            for candidate in (os.environ.get("CC"), "cc", "gcc", "clang")
            if candidate and (path := shutil.which(candidate))
        ),
        None,
    )
    if compiler is None:
        raise CoreUnavailable("no C compiler is installed (cc, gcc or clang)")
    digest = hashlib.sha256(
        repr((compiler, _FLAGS, platform.machine(), _processor_features())).encode()
    )
    try:
        for file in (*sources, *headers):
            digest.update((folder / file).read_bytes())
    except OSError as error:
        raise CoreUnavailable(f"its source is missing from this installation: {error}") from error
    made = _cache_folder() / f"{name}-{digest.hexdigest()[:32]}.so"
    if not made.is_file():
        _compile(compiler, [str(folder / file) for file in sources], made)
    return made


def _compile(compiler: str, sources: list[str], made: Path) -> None:
    import subprocess  # only the first command of a host compiles

    try:
        with draft_folder(made) as folder:
            draft = folder / made.name
            # The cache is of this processor alone, so its own instructions may be used; a compiler
            # that does not know them does without.
            for tuning in (("-march=native",), ()):
                command = [compiler, *_FLAGS, *tuning, *sources, "-o", str(draft), "-lm"]
                result = subprocess.run(
                    command, capture_output=True, text=True, timeout=_COMPILE_SECONDS, check=False
                )
                if result.returncode == 0:
                    os.replace(draft, made)
                    return
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CoreUnavailable(f"{compiler} could not be run: {error}") from error
    raise CoreUnavailable(
        f"{compiler} failed: {(result.stderr.strip().splitlines() or ['no message'])[-1]}"
    )


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    folder = Path(base, "portproof")
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not os.access(folder, os.W_OK):
            raise PermissionError(f"'{folder}' is not writable")
    except OSError as error:
        raise CoreUnavailable(f"no cache folder to compile into: {error}") from error
    return folder


def _processor_features() -> str:
    """What ``-march=native`` depends on: a home folder may be shared by hosts."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            return next(
                (line for line in file if line.lower().startswith(("flags", "features"))),
                platform.processor(),
            )
    except OSError:
        return platform.processor()
