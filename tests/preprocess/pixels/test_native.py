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
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from portproof.preprocess.pixels import compiled, native
from portproof.preprocess.pixels.pillow_images import open_image
from portproof.preprocess.pixels.transform import Preprocessor
from portproof.recipe import Recipe, Resize, find_recipe

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


#: Flags of the compiler -> what the processor must know: every way that the core sums weights.
WAYS = {
    "plain": ((), ()),
    "AVX2": (("-mavx2",), ("avx2",)),
    "AVX-512 VNNI": (
        ("-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512vnni"),
        ("avx512bw", "avx512vl", "avx512_vnni"),
    ),
}


@pytest.fixture(scope="module", params=WAYS)
def one_way(
    request: pytest.FixtureRequest, root: Path, tmp_path_factory: pytest.TempPathFactory
) -> native.Core:
    """The core compiled for one kind of processor."""
    flags, features = WAYS[request.param]
    known = Path("/proc/cpuinfo").read_text().split() if features else []
    if missing := [name for name in features if name not in known]:
        pytest.skip(f"this processor has no {missing[0]}")
    library = tmp_path_factory.mktemp("core") / "core.so"
    command = ["cc", "-std=c11", "-O2", "-ffp-contract=off", "-fPIC", "-shared", *flags]
    subprocess.run([*command, *sources(root), "-o", str(library), "-lm"], check=True)
    return native.Core(library)


@needs_compiler
def test_every_processor_gives_the_same_bits(one_way: native.Core, kinds: dict[str, bytes]) -> None:
    recipe = find_recipe("regnet")
    way = compiled.CompiledRecipe(recipe, one_way)
    for kind in ("jpeg 4:2:0", "jpeg grey", "png colour", "jpeg wide"):
        sample: Any = way(open_image(kinds[kind]), kinds[kind])
        assert np.array_equal(sample, Preprocessor(recipe, use_compiled=False)(kinds[kind])[0])


@needs_compiler
@settings(deadline=None, max_examples=200)
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    new=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    filters=st.sampled_from(native.FILTERS),
    extreme=st.booleans(),
)
def test_every_processor_resizes_any_size_as_pillow_does(
    one_way: native.Core,
    height: int,
    width: int,
    new: tuple[int, int],
    filters: Any,
    extreme: bool,
) -> None:
    """Noise, of all levels or of black and white only: the sums of those go farthest beyond 8 bits,
    and the fewer pixels there are, the larger weights are.
    """
    levels = np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)
    image = Image.fromarray(np.where(levels > 127, 255, 0).astype(np.uint8) if extreme else levels)
    recipe = Recipe(
        resize=Resize(rule="exact", size=new, interpolation=filters),
        crop=new,
        divide=1.0,
        mean=(0, 0, 0),
        std=(1, 1, 1),
        dtype="uint8",
        layout="NHWC",
    )
    sample: Any = compiled.CompiledRecipe(recipe, one_way)(image, b"")
    if sample is not None:
        expected = image.resize(new[::-1], Image.Resampling[filters.upper()])
        assert np.array_equal(sample, np.asarray(expected))


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
