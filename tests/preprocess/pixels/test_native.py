"""Building the compiled core, and doing without it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from portproof.preprocess.pixels import compiled, native
from portproof.preprocess.pixels.pillow_images import open_image
from portproof.preprocess.pixels.transform import Preprocessor
from portproof.recipe import find_recipe

from ..conftest import encoded, picture


def sources(root: Path) -> list[str]:
    return [str(path) for path in sorted((root / "preprocess/pixels/native").glob("*.c"))]


needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="no C compiler is installed"
)


@needs_compiler
def test_it_is_built_used_and_decodes() -> None:
    core = compiled.proven_core()
    assert Preprocessor(find_recipe("regnet")).core == (
        "compiled" if core.decodes_jpeg else "compiled, JPEG decoded by Pillow"
    )


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """An empty cache folder, and nothing loaded."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for cached in (native.load, compiled.proven_core):
        cached.cache_clear()
    yield tmp_path / "portproof"
    for cached in (native.load, compiled.proven_core):
        cached.cache_clear()


def test_without_a_compiler_pillow_does_it_and_it_is_said(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(fresh))
    monkeypatch.delenv("CC", raising=False)
    preprocessor = Preprocessor(find_recipe("regnet"))
    assert preprocessor.core == "pillow (no C compiler is installed (cc, gcc or clang))"
    data = encoded(Image.fromarray(picture(300, 400)), "JPEG")
    assert np.array_equal(
        preprocessor(data)[0], Preprocessor(find_recipe("regnet"), use_compiled=False)(data)[0]
    )


def test_a_compiler_that_fails_is_said(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "broken-cc"
    broken.write_text("#!/bin/sh\necho 'it is broken' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CC", str(broken))
    assert Preprocessor(find_recipe("regnet")).core == f"pillow ({broken} failed: it is broken)"
    assert not list(fresh.glob("*.so"))


@needs_compiler
def test_a_core_with_other_bits_is_not_used(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if another Pillow were installed, whose resize rounds otherwise."""
    honest = compiled.crop_resized
    monkeypatch.setattr(compiled, "crop_resized", lambda image, recipe: honest(image, recipe) ^ 1)
    assert "other bits than the installed Pillow" in Preprocessor(find_recipe("regnet")).core


@needs_compiler
def test_without_pillows_decoder_pillow_decodes(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "_jpeg_functions", lambda: None)
    preprocessor = Preprocessor(find_recipe("regnet"))
    assert preprocessor.core == "compiled, JPEG decoded by Pillow"
    data = encoded(Image.fromarray(picture(300, 400)), "JPEG")
    assert np.array_equal(
        preprocessor(data)[0], Preprocessor(find_recipe("regnet"), use_compiled=False)(data)[0]
    )


@needs_compiler
@pytest.mark.parametrize("standard", ["-std=c99", "-std=c11", "-std=c17"])
def test_it_is_plain_c_without_a_warning(root: Path, tmp_path: Path, standard: str) -> None:
    command = [
        "cc",
        standard,
        "-pedantic",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-O2",
        "-shared",
        "-fPIC",
        *sources(root),
        "-o",
        str(tmp_path / "c.so"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@needs_compiler
def test_the_plain_loop_gives_the_same_bits(
    root: Path, tmp_path: Path, kinds: dict[str, bytes]
) -> None:
    """What processors without AVX2 run."""
    library = tmp_path / "plain.so"
    subprocess.run(
        ["cc", "-std=c11", "-O2", "-fPIC", "-shared", *sources(root), "-o", str(library), "-lm"],
        check=True,
    )
    recipe = find_recipe("regnet")
    plain = compiled.CompiledRecipe(recipe, native.Core(library))
    for kind in ("jpeg 4:2:0", "jpeg grey", "png colour", "jpeg wide"):
        sample: Any = plain(open_image(kinds[kind]), kinds[kind])
        assert np.array_equal(sample, Preprocessor(recipe, use_compiled=False)(kinds[kind])[0])


#: Damages files at random and compares the two paths; in a process of its own, which a crash would
#: end.
DAMAGE = """
import random, sys
sys.path.insert(0, sys.argv[1])
from portproof.core.errors import InputError
from portproof.preprocess.pixels.transform import Preprocessor
from portproof.recipe import Recipe, Resize

recipe = Recipe(resize=Resize(size=(48,)), crop=(40, 40))
both = [Preprocessor(recipe, True), Preprocessor(recipe, False)]
rng = random.Random(1)
for path in sys.argv[2:]:
    data = open(path, 'rb').read()
    for trial in range(60):
        damaged = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        if trial % 3 == 0:
            del damaged[rng.randrange(len(damaged) * trial // 60, len(damaged)):]
        outcomes = []
        for preprocessor in both:
            try:
                outcomes.append(preprocessor(bytes(damaged))[0].tobytes())
            except InputError:
                outcomes.append(None)
        assert outcomes[0] == outcomes[1], (path, trial)
"""


@needs_compiler
def test_damaged_files_never_crash_it(root: Path, tmp_path: Path, kinds: dict[str, bytes]) -> None:
    """Whatever is not a faultless file goes to Pillow, which decides; both paths agree on every
    one.
    """
    names = []
    for number, kind in enumerate(
        (
            "jpeg 4:2:0",
            "jpeg 4:2:2",
            "jpeg 4:4:4",
            "jpeg progressive",
            "jpeg grey",
            "jpeg restart markers",
        )
    ):
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(kinds[kind])
        names.append(str(path))
    done = subprocess.run(
        [sys.executable, "-c", DAMAGE, str(root / "src"), *names],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.returncode, done.stderr[-800:])
