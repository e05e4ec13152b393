"""``preprocess/imagenet.py`` from outside: data sets, outputs, bad input, and being stopped at any
moment.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
from PIL import Image

from portproof.core.errors import InputError
from portproof.core.files import open_regular
from portproof.preprocess.dataset import pack as packed
from portproof.preprocess.dataset import stream as streamed
from portproof.preprocess.dataset.pack import open_packed
from portproof.preprocess.dataset.stream import stream
from portproof.preprocess.pixels.transform import Preprocessor
from portproof.recipe import Recipe, find_recipe, read_recipe, recipe_hash

from ..conftest import encoded, picture

RECIPE = "resize: {rule: shorter, size: [36], interpolation: bicubic}\ncrop: [32, 32]\n"
Stage = Callable[..., subprocess.CompletedProcess[str]]
Make = Callable[..., list[Path]]


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    (tmp_path / "small.yaml").write_text(RECIPE)
    return read_recipe(tmp_path / "small.yaml")


def proof(prep: Path) -> dict[str, Any]:
    return json.loads(prep.with_name(prep.name + ".proof.json").read_text())  # type: ignore[no-any-return]


def expected(path: Path, recipe: Recipe) -> bytes:
    return Preprocessor(recipe, use_compiled=False)(path.read_bytes())[0].tobytes()


def test_a_flat_folder(stage: Stage, tmp_path: Path, recipe: Recipe, make_images: Make) -> None:
    images = make_images(tmp_path / "images")
    (tmp_path / "images" / "val_label.txt").write_text("img_000.JPEG 1\n")
    done = stage(
        "preprocess/imagenet.py",
        "images",
        "prep",
        "--recipe",
        "small.yaml",
        "--workers",
        2,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "recipe: pillow resize shorter side to 36 bicubic, crop 32 x 32" in done.stdout
    assert sorted(p.name for p in (tmp_path / "prep").iterdir()) == [
        f"{p.stem}.bin" for p in images
    ]
    for path in images:
        assert (tmp_path / "prep" / f"{path.stem}.bin").read_bytes() == expected(path, recipe)
    facts = proof(tmp_path / "prep")["facts"]
    assert (
        facts["samples"] == len(images)
        and facts["skipped"] == []
        and facts["recipe_sha256"] == recipe_hash(recipe)
    )
    assert len(proof(tmp_path / "prep")["inputs"]["images"]) == len(images)
    assert facts["core"].startswith(("compiled", "pillow")) and len(facts["fingerprint"]) == 64
    assert not list(tmp_path.glob(".prep.journal"))


def test_done_once_and_again_when_something_changed(
    stage: Stage, tmp_path: Path, recipe: Recipe, make_images: Make
) -> None:
    images = make_images(tmp_path / "images", 3)
    command = ("preprocess/imagenet.py", "images", "prep", "--recipe", "small.yaml")
    assert stage(*command, cwd=tmp_path).returncode == 0
    first = (tmp_path / "prep" / "img_000.bin").stat().st_mtime_ns
    assert "up to date" in stage(*command, cwd=tmp_path).stderr
    images[1].write_bytes(encoded(Image.fromarray(picture(70, 80, 9)), "JPEG"))
    again = stage(*command, cwd=tmp_path)
    assert again.returncode == 0 and "img_001.JPEG' changed" in again.stderr
    assert (tmp_path / "prep" / "img_001.bin").read_bytes() == expected(images[1], recipe)
    other = stage(*command, "--dtype", "uint8", "--layout", "NHWC", cwd=tmp_path)
    assert other.returncode == 0 and "recipe was" in other.stderr
    assert (tmp_path / "prep" / "img_000.bin").stat().st_size == 32 * 32 * 3
    assert (tmp_path / "prep" / "img_000.bin").stat().st_mtime_ns != first
    images[2].unlink()
    assert stage(*command, cwd=tmp_path).returncode == 0
    assert not (tmp_path / "prep" / "img_002.bin").exists()


def test_class_folders(stage: Stage, tmp_path: Path, recipe: Recipe, make_images: Make) -> None:
    for number, wnid in enumerate(("n01440764", "n01443537")):
        for path in make_images(tmp_path / "val" / wnid, 2):
            path.rename(path.with_name(f"ILSVRC2012_val_{number}{path.stem[-3:]}.JPEG"))
    done = stage("preprocess/imagenet.py", "val", "prep", "--recipe", "small.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "prep").iterdir())) == 4


def test_a_card_and_its_recipe_are_said(stage: Stage, tmp_path: Path, make_images: Make) -> None:
    make_images(tmp_path / "images", 2)
    done = stage("preprocess/imagenet.py", "images", "prep", "--model", "regnety_016", cwd=tmp_path)
    assert done.returncode == 0 and "shorter side to 256 bicubic, crop 224 x 224" in done.stdout
    assert (tmp_path / "prep" / "img_000.bin").stat().st_size == 3 * 224 * 224 * 4
    assert proof(tmp_path / "prep")["facts"]["model"] == "regnety_016"


BAD = {
    "empty.jpg": (b"", "0 bytes"),
    "text.jpg": (b"not an image at all", "not an image"),
    "cut.jpg": (encoded(Image.fromarray(picture(80, 90)), "JPEG")[:-900], "truncated"),
    "end.jpg": (encoded(Image.fromarray(picture(80, 90)), "JPEG")[:-2], "truncated"),
    "cut.png": (encoded(Image.fromarray(picture(80, 90)), "PNG")[:-5000], "truncated"),
    "bomb.png": (encoded(Image.new("1", (14000, 14000)), "PNG"), "bomb"),
    "half_bomb.png": (encoded(Image.new("1", (10000, 10000)), "PNG"), "bomb"),
    "line.png": (encoded(Image.new("RGB", (60000, 1)), "PNG"), "megapixels"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("use_compiled", [True, False])
def test_bad_images_are_refused_with_the_reason(name: str, use_compiled: bool) -> None:
    data, reason = BAD[name]
    with pytest.raises(InputError, match=reason):
        Preprocessor(find_recipe("resnet"), use_compiled)(data)


@pytest.mark.parametrize("pack", [(), ("--pack",)])
def test_bad_images_stop_the_run_or_are_left_out(
    stage: Stage, tmp_path: Path, recipe: Recipe, make_images: Make, pack: tuple[str, ...]
) -> None:
    images = make_images(tmp_path / "images", 4)
    (tmp_path / "images" / "img_001b.jpg").write_bytes(BAD["cut.jpg"][0])
    (tmp_path / "images" / "img_002b.jpg").write_bytes(b"")
    command = (
        "preprocess/imagenet.py",
        "images",
        "prep",
        "--recipe",
        "small.yaml",
        "--workers",
        2,
        *pack,
    )
    stopped = stage(*command, cwd=tmp_path)
    assert (
        stopped.returncode == 2
        and "img_001b.jpg" in stopped.stderr
        and "truncated" in stopped.stderr
    )
    assert (
        stopped.stderr.count("portproof: error") == 1
        and not (tmp_path / "prep.proof.json").exists()
    )
    done = stage(*command, "--skip-bad", cwd=tmp_path)
    assert done.returncode == 0 and "2 of 6 images were left out" in done.stderr
    skipped = proof(tmp_path / "prep")["facts"]["skipped"]
    assert [Path(item["file"]).name for item in skipped] == [
        "img_001b.jpg",
        "img_002b.jpg",
    ] and "truncated" in skipped[0]["reason"]
    if pack:
        assert open_packed(tmp_path / "prep")[0] == [p.stem for p in images]
    else:
        assert len(list((tmp_path / "prep").glob("*.bin"))) == 4
    assert "up to date" in stage(*command, "--skip-bad", cwd=tmp_path).stderr


def test_nothing_but_bad_images(stage: Stage, tmp_path: Path, recipe: Recipe) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(b"")
    done = stage(
        "preprocess/imagenet.py",
        "images",
        "prep",
        "--recipe",
        "small.yaml",
        "--skip-bad",
        cwd=tmp_path,
    )
    assert done.returncode == 2 and "none of the 1 images" in done.stderr


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (("a.jpg", "a.png"), "belong to more than one file (a)"),
        (("a.b.jpg", "a.c.jpg"), "belong to more than one file (a)"),
        (("x/a.jpg", "y/a.jpg"), "belong to more than one file (a)"),
        (("a.jpg", "x/b.jpg"), "one kind of folder"),
        (("a b.jpg",), "blanks"),
        (("a.txt",), "holds no images"),
        ((), "holds no images"),
    ],
)
def test_data_sets_that_cannot_be_right(
    stage: Stage, tmp_path: Path, recipe: Recipe, files: tuple[str, ...], reason: str
) -> None:
    (tmp_path / "images").mkdir()
    for name in files:
        (tmp_path / "images" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "images" / name).write_bytes(
            encoded(Image.fromarray(picture(9, 9)), "JPEG" if "jpg" in name else "PNG")
        )
    done = stage("preprocess/imagenet.py", "images", "prep", "--recipe", "small.yaml", cwd=tmp_path)
    assert done.returncode == 2 and reason in done.stderr, done.stderr
    assert not (tmp_path / "prep").exists()


def test_usage_errors(stage: Stage, tmp_path: Path, recipe: Recipe, make_images: Make) -> None:
    assert (
        "--model CARD or --recipe"
        in stage("preprocess/imagenet.py", "images", "prep", cwd=tmp_path).stderr
    )
    nowhere = stage(
        "preprocess/imagenet.py", "images", "prep", "--recipe", "small.yaml", cwd=tmp_path
    )
    assert nowhere.returncode == 2 and "a folder was expected" in nowhere.stderr
    make_images(tmp_path / "images", 1)
    (tmp_path / "prep").mkdir()
    (tmp_path / "prep" / "mine.txt").write_text("x")
    for pack in ((), ("--pack",)):
        strange = stage(
            "preprocess/imagenet.py",
            "images",
            "prep",
            "--recipe",
            "small.yaml",
            *pack,
            cwd=tmp_path,
        )
        assert strange.returncode == 2 and "mine.txt" in strange.stderr
    assert (tmp_path / "prep" / "mine.txt").exists()


def test_packed_rows_equal_the_small_files(
    stage: Stage, tmp_path: Path, recipe: Recipe, make_images: Make
) -> None:
    images = make_images(tmp_path / "images")
    assert (
        stage(
            "preprocess/imagenet.py",
            "images",
            "packed",
            "--recipe",
            "small.yaml",
            "--pack",
            cwd=tmp_path,
        ).returncode
        == 0
    )
    ids, rows = open_packed(tmp_path / "packed")
    assert (
        ids == [p.stem for p in images]
        and rows.shape == (len(images), 3, 32, 32)
        and rows.dtype == np.float32
    )
    assert [row.tobytes() for row in rows] == [expected(path, recipe) for path in images]
    assert isinstance(rows, np.memmap) and not rows.flags.writeable
    assert (
        "up to date"
        in stage(
            "preprocess/imagenet.py",
            "images",
            "packed",
            "--recipe",
            "small.yaml",
            "--pack",
            cwd=tmp_path,
        ).stderr
    )


def test_packing_stopped_before_its_sidecar(
    tmp_path: Path, recipe: Recipe, make_images: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All rows are there, and nothing vouches for them yet: they are taken up again, not refused
    and not made again.
    """
    images = make_images(tmp_path / "images")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(packed, "finish", stop)
        with pytest.raises(KeyboardInterrupt):
            packed.make_packed(tmp_path / "images", tmp_path / "prep", recipe, workers=1)
    monkeypatch.setattr(packed, "prepare", stop)
    packed.make_packed(tmp_path / "images", tmp_path / "prep", recipe, workers=1)
    ids, rows = open_packed(tmp_path / "prep")
    assert [row.tobytes() for row in rows] == [expected(path, recipe) for path in images] and len(
        ids
    ) == len(images)
    assert sorted(p.name for p in (tmp_path / "prep").iterdir()) == ["ids.txt", "samples.npy"]


def test_packing_stopped_right_after_its_sidecar_leaves_nothing_behind(
    tmp_path: Path, recipe: Recipe, make_images: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_images(tmp_path / "images")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(packed.PackedWriter, "remove", stop)
        with pytest.raises(KeyboardInterrupt):
            packed.make_packed(tmp_path / "images", tmp_path / "prep", recipe, workers=1)
    packed.make_packed(tmp_path / "images", tmp_path / "prep", recipe, workers=1)
    assert sorted(p.name for p in (tmp_path / "prep").iterdir()) == ["ids.txt", "samples.npy"]


@pytest.mark.parametrize("damage", ["cut", "ids", "header"])
def test_packed_folders_that_are_not_whole_are_refused(
    tmp_path: Path, recipe: Recipe, make_images: Make, damage: str
) -> None:
    make_images(tmp_path / "images", 3)
    packed.make_packed(tmp_path / "images", tmp_path / "prep", recipe, workers=1)
    samples, ids = tmp_path / "prep" / "samples.npy", tmp_path / "prep" / "ids.txt"
    if damage == "cut":
        samples.write_bytes(samples.read_bytes()[:-1])
    elif damage == "ids":
        ids.write_text("img_000\n")
    else:
        samples.write_bytes(b"nothing" + samples.read_bytes())
    with pytest.raises(InputError, match="make it again with --pack"):
        open_packed(tmp_path / "prep")


def test_stream_gives_the_same_samples_in_order(
    tmp_path: Path, recipe: Recipe, make_images: Make
) -> None:
    images = make_images(tmp_path / "images", 20)
    made = list(stream(tmp_path / "images", recipe, workers=2))
    assert [name for name, _ in made] == [p.stem for p in images]
    assert [sample.tobytes() for _, sample in made] == [expected(path, recipe) for path in images]


@pytest.mark.parametrize("change", ["grown", "touched", "replaced"])
def test_an_image_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, make_images: Make, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    (image,) = make_images(tmp_path / "images", 1)

    def at_the_end(path: Path) -> None:
        if change == "grown":
            with open(path, "ab") as file:
                file.write(b"more")
        elif change == "touched":
            os.utime(path, ns=(1, 1))
        else:
            other, time_of = path.with_suffix(".new"), path.stat().st_mtime_ns
            other.write_bytes(path.read_bytes())
            os.utime(other, ns=(time_of, time_of))
            other.replace(path)

    @contextlib.contextmanager
    def opened(path: Path, what: str) -> Iterator[IO[bytes]]:
        with open_regular(path, what) as file:
            yield file
        at_the_end(path)

    monkeypatch.setattr(streamed, "open_regular", opened)
    with pytest.raises(InputError, match=r"img_000.JPEG' changed while it was read"):
        streamed.read_image(image, tmp_path)


@pytest.mark.parametrize(("processors", "writers"), [(2, 0), (3, 1), (64, 2)])
def test_what_is_due_before_an_error_is_written(
    tmp_path: Path,
    recipe: Recipe,
    make_images: Make,
    monkeypatch: pytest.MonkeyPatch,
    processors: int,
    writers: int,
) -> None:
    """In order, one by one, by two workers and who writes on the processors that they leave; the
    error comes in its image's turn.
    """
    monkeypatch.setattr(streamed, "default_workers", lambda: processors)
    pools: list[int] = []

    class Pool(ThreadPoolExecutor):
        def __init__(self, count: int, **named: str) -> None:
            pools.append(count)
            super().__init__(count, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(streamed, "ThreadPoolExecutor", Pool)
    images, preprocessor = make_images(tmp_path / "images", 9), Preprocessor(recipe)
    images[7].unlink()
    (tmp_path / "prep").mkdir()

    def make(path: Path) -> streamed.Prepared:
        return streamed.prepare(path, tmp_path, preprocessor)

    seen = []
    with pytest.raises(InputError, match=r"img_007.JPEG' does not exist"):
        for made in streamed.written(make, images, tmp_path / "prep", tmp_path, 2):
            assert made.written is not None and made.sample is None
            seen.append(made.written.path)
    assert seen == [f"prep/{path.stem}.bin" for path in images[:7]]
    for path in images[:7]:
        file = tmp_path / "prep" / f".{path.stem}.tmp"
        assert file.read_bytes() == expected(path, recipe)
    assert sum(pools) == writers


@pytest.mark.parametrize("pack", [(), ("--pack",)])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_stopped_and_started_again(
    tmp_path: Path,
    root: Path,
    recipe: Recipe,
    make_images: Make,
    how: signal.Signals,
    pack: tuple[str, ...],
) -> None:
    """Whatever is finished is kept, nothing half-written counts, and the end is the same."""
    images = make_images(tmp_path / "images", 120, 400, 500)
    command = [
        sys.executable,
        str(root / "preprocess/imagenet.py"),
        "images",
        "prep",
        "--recipe",
        "small.yaml",
        "--workers",
        "2",
        *pack,
    ]
    running = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    began = time.monotonic()
    while finished(tmp_path / "prep") < 10:
        assert running.poll() is None and time.monotonic() - began < 60
        time.sleep(0.002)
    running.send_signal(how)
    _, errors = running.communicate(timeout=60)
    assert running.returncode == (130 if how == signal.SIGINT else -signal.SIGKILL)
    assert "Traceback" not in errors and not (tmp_path / "prep.proof.json").exists()
    kept = {p: p.stat().st_mtime_ns for p in (tmp_path / "prep").glob("*.bin")}
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    if pack:
        ids, rows = open_packed(tmp_path / "prep")
        made = dict(zip(ids, (row.tobytes() for row in rows), strict=True))
    else:
        made = {p.stem: p.read_bytes() for p in (tmp_path / "prep").iterdir()}
        # At most the file that was finished but not yet noted is made again.
        assert sum(p.stat().st_mtime_ns == time_ns for p, time_ns in kept.items()) >= len(kept) - 10
    wanted = [expected(path, recipe) for path in images[:8]]
    assert made == {path.stem: wanted[number % 8] for number, path in enumerate(images)}


def finished(prep: Path) -> int:
    """How many samples a running command has finished so far."""
    partial = prep / ".samples.partial"
    if partial.is_file():
        return partial.stat().st_size // (3 * 32 * 32 * 4)
    return len([n for n in os.listdir(prep) if n.endswith(".bin")]) if prep.is_dir() else 0


def test_a_full_disk_is_one_sentence(
    tmp_path: Path, root: Path, recipe: Recipe, make_images: Make
) -> None:
    """A file size limit stands for a full disk: the run stops with one sentence, and goes on when
    there is room.
    """
    make_images(tmp_path / "images", 8)
    program = (
        "import resource, signal, sys, runpy; signal.signal(signal.SIGXFSZ,"
        " signal.SIG_IGN);resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000)); sys.argv ="
        " sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    command = [str(root / "preprocess/imagenet.py"), "images", "prep", "--recipe", "small.yaml"]
    stopped = subprocess.run(
        [sys.executable, "-c", program, *command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (
        stopped.returncode in (2, 3)
        and stopped.stderr.count("portproof: error") == 1
        and "Traceback" not in stopped.stderr
    )
    assert not list((tmp_path / "prep").glob("*"))
    assert (
        subprocess.run(
            [sys.executable, *command], cwd=tmp_path, capture_output=True, check=False
        ).returncode
        == 0
    )


def test_deep_images_are_warned_of_once(stage: Stage, tmp_path: Path, recipe: Recipe) -> None:
    (tmp_path / "images").mkdir()
    for number in range(3):
        deep = Image.fromarray(picture(50, 60)[:, :, 0].astype(np.uint16) * 9)
        (tmp_path / "images" / f"{number}.png").write_bytes(encoded(deep, "PNG"))
    done = stage("preprocess/imagenet.py", "images", "prep", "--recipe", "small.yaml", cwd=tmp_path)
    assert done.returncode == 0 and done.stderr.count("more than 8 bits") == 1
    assert proof(tmp_path / "prep")["facts"]["clipped_to_8_bits"] == 3
