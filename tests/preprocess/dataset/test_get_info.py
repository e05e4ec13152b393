"""``preprocess/get_info.py`` against the format of the benchmark tool's input file."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from portproof.manifest import read_info

from ..conftest import encoded, picture

Stage = Callable[..., subprocess.CompletedProcess[str]]


def test_bin_files_are_listed_sorted_with_the_given_size(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "prep_dataset").mkdir()
    for name in (
        "ILSVRC2012_val_00000009.bin",
        "ILSVRC2012_val_00000010.bin",
        "ILSVRC2012_val_00000001.bin",
        "notes.txt",
        ".hidden.bin",
    ):
        (tmp_path / "prep_dataset" / name).write_bytes(b"")
    done = stage(
        "preprocess/get_info.py", "bin", "./prep_dataset", "./out.info", 224, 192, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert (
        (tmp_path / "out.info").read_bytes()
        == b"0 ./prep_dataset/ILSVRC2012_val_00000001.bin 224 192\n1 ./prep_dataset/ILSVRC2012_val_00000009.bin 224 192\n2 ./prep_dataset/ILSVRC2012_val_00000010.bin 224 192\n"
    )
    assert (
        "up to date"
        in stage(
            "preprocess/get_info.py", "bin", "./prep_dataset", "./out.info", 224, 192, cwd=tmp_path
        ).stderr
    )
    (tmp_path / "prep_dataset" / "new.bin").write_bytes(b"")
    assert (
        stage(
            "preprocess/get_info.py", "bin", "./prep_dataset", "./out.info", 224, 192, cwd=tmp_path
        ).returncode
        == 0
    )
    assert len(read_info(tmp_path / "out.info")) == 4


def test_jpeg_files_of_all_suffixes_have_one_continuous_index(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "val").mkdir()
    sizes = {"b.jpg": (30, 20), "a.JPEG": (500, 375), "d.JPG": (7, 9), "c.jpeg": (1, 50)}
    for name, (width, height) in sizes.items():
        (tmp_path / "val" / name).write_bytes(
            encoded(Image.fromarray(picture(height, width)), "JPEG")
        )
    (tmp_path / "val" / "e.png").write_bytes(encoded(Image.fromarray(picture(4, 4)), "PNG"))
    assert stage("preprocess/get_info.py", "jpg", "val/", "val.info", cwd=tmp_path).returncode == 0
    assert (
        tmp_path / "val.info"
    ).read_text() == "0 val/a.JPEG 500 375\n1 val/b.jpg 30 20\n2 val/c.jpeg 1 50\n3 val/d.JPG 7 9\n"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("bin", "prep", "o.info"), "needs WIDTH and HEIGHT"),
        (("bin", "prep", "o.info", "224"), "needs WIDTH and HEIGHT"),
        (("bin", "prep", "o.info", "0", "224"), "argument WIDTH"),
        (("bin", "prep", "o.info", "x", "224"), "argument WIDTH"),
        (("bin", "empty", "o.info", "1", "1"), "no .bin files"),
        (("bin", "nowhere", "o.info", "1", "1"), "a folder was expected"),
        (("jpg", "empty", "o.info"), "no JPEG files"),
        (("jpg", "broken", "o.info"), "broken/x.jpg"),
        (("jpg", "prep", "o.info", "1", "1"), "takes no WIDTH"),
        (("png", "prep", "o.info"), "invalid choice"),
        (("bin", "blanks", "o.info", "1", "1"), "blank"),
        (("bin", "double", "o.info", "1", "1"), "more than one file (a)"),
    ],
)
def test_bad_input(stage: Stage, tmp_path: Path, arguments: tuple[str, ...], reason: str) -> None:
    for name in (
        "prep/a.bin",
        "broken/x.jpg",
        "blanks/a b.bin",
        "double/a.1.bin",
        "double/a.2.bin",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"nothing")
    (tmp_path / "empty").mkdir()
    done = stage("preprocess/get_info.py", *arguments, cwd=tmp_path)
    assert done.returncode == 2 and reason in done.stderr, done.stderr
    assert not (tmp_path / "o.info").exists()
