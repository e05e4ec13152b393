"""``preprocess/labels.py``: class folders, and the devkit whose numbers are no classes."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

Stage = Callable[..., subprocess.CompletedProcess[str]]

#: Of the devkit: ILSVRC2012_ID, wnid, number of children. The order of the ids is not that of the
#: wnids.
SYNSETS = [
    (1, "n02119789", 0),
    (2, "n02100735", 0),
    (3, "n02110185", 0),
    (4, "n01440764", 0),
    (5, "n00001740", 4),
    (6, "n00002684", 2),
]


def write_meta(path: Path) -> None:
    fields = [
        ("ILSVRC2012_ID", object),
        ("WNID", object),
        ("words", object),
        ("gloss", object),
        ("num_children", object),
    ]
    rows = np.array(
        [(number, wnid, "a word", "a gloss", children) for number, wnid, children in SYNSETS],
        dtype=fields,
    )
    savemat(path, {"synsets": rows.reshape(-1, 1)})


def test_a_tree_of_class_folders(stage: Stage, tmp_path: Path) -> None:
    files = {
        "n01443537/ILSVRC2012_val_00000236.JPEG": 1,
        "n01440764/ILSVRC2012_val_00000293.JPEG": 0,
        "n01440764/ILSVRC2012_val_00002138.JPEG": 0,
    }
    for name in files:
        (tmp_path / "val" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "val" / name).write_bytes(b"")
    (tmp_path / "val" / "n01440764" / "README.txt").write_text("")
    done = stage("preprocess/labels.py", "val", "val_label.txt", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "2 of ImageNet's 1000 class folders" in done.stderr
    assert (
        (tmp_path / "val_label.txt").read_bytes()
        == b"ILSVRC2012_val_00000236.JPEG 1\nILSVRC2012_val_00000293.JPEG 0\nILSVRC2012_val_00002138.JPEG 0\n"
    )
    assert (
        "up to date" in stage("preprocess/labels.py", "val", "val_label.txt", cwd=tmp_path).stderr
    )


def test_some_classes_numbered_as_a_full_model_numbers_them(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "val" / "n02102040").mkdir(parents=True)
    (tmp_path / "val" / "n02102040" / "a.JPEG").write_bytes(b"")
    (tmp_path / "synsets.txt").write_text(
        "n01440764 tench\nn01443537 goldfish\nn02102040 English springer\n"
    )
    done = stage("preprocess/labels.py", "val", "l.txt", "--synsets", "synsets.txt", cwd=tmp_path)
    assert done.returncode == 0 and (tmp_path / "l.txt").read_text() == "a.JPEG 2\n"
    (tmp_path / "synsets.txt").write_text("n01440764\n")
    done = stage("preprocess/labels.py", "val", "m.txt", "--synsets", "synsets.txt", cwd=tmp_path)
    assert done.returncode == 2 and "lacks the class folder 'n02102040'" in done.stderr


def test_the_devkit_is_mapped_through_its_meta(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    write_meta(tmp_path / "data" / "meta.mat")
    truth = tmp_path / "data" / "ILSVRC2012_validation_ground_truth.txt"
    truth.write_text("1\n4\n2\n3\n")
    done = stage("preprocess/labels.py", truth, "l.txt", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    # Sorted wnids: n01440764, n02100735, n02110185, n02119789 are classes 0 to 3.
    expected = [3, 0, 1, 2]
    assert (tmp_path / "l.txt").read_text() == "".join(
        f"ILSVRC2012_val_{i:08d}.JPEG {c}\n" for i, c in enumerate(expected, start=1)
    )


@pytest.mark.parametrize(
    ("truth", "reason"),
    [
        ("0\n1\n", "ids begin at 1"),
        ("1\n\nx\n", "line 3"),
        ("-1\n", "line 1"),
        ("1\n5\n", "the id 5"),
        ("7\n", "the id 7"),
        ("", "is empty"),
        ("ILSVRC2012_val_00000001.JPEG 65\n", "line 1"),
    ],
)
def test_wrong_ground_truth_is_refused(
    stage: Stage, tmp_path: Path, truth: str, reason: str
) -> None:
    write_meta(tmp_path / "meta.mat")
    (tmp_path / "truth.txt").write_text(truth)
    done = stage("preprocess/labels.py", "truth.txt", "l.txt", cwd=tmp_path)
    assert done.returncode == 2 and reason in done.stderr, done.stderr
    assert not (tmp_path / "l.txt").exists()


def test_ground_truth_without_its_meta_is_refused(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "truth.txt").write_text("1\n")
    done = stage("preprocess/labels.py", "truth.txt", "l.txt", cwd=tmp_path)
    assert done.returncode == 2 and "meta.mat" in done.stderr
    (tmp_path / "meta.mat").write_bytes(b"not matlab")
    done = stage("preprocess/labels.py", "truth.txt", "l.txt", cwd=tmp_path)
    assert done.returncode == 2 and "is not the meta.mat" in done.stderr


def test_folders_that_cannot_be_right(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat" / "a.JPEG").write_bytes(b"")
    assert "no class folders" in stage("preprocess/labels.py", "flat", "l.txt", cwd=tmp_path).stderr
    (tmp_path / "tree" / "n1").mkdir(parents=True)
    assert "no images" in stage("preprocess/labels.py", "tree", "l.txt", cwd=tmp_path).stderr
    for name in ("n1/a.JPEG", "n2/a.JPEG"):
        (tmp_path / "tree" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "tree" / name).write_bytes(b"")
    assert (
        "more than one file (a)"
        in stage("preprocess/labels.py", "tree", "l.txt", cwd=tmp_path).stderr
    )


@pytest.mark.parametrize(
    ("names", "order"),
    [
        ([str(i) for i in range(12)], "natural"),
        (["class_2", "class_10", "class_1"], "natural"),
        (["b", "a", "C"], "natural"),
        ([str(i) for i in range(12)], "text"),
    ],
)
def test_numbered_folders_are_counted_as_timm_or_as_torchvision_counts_them(
    stage: Stage, tmp_path: Path, names: list[str], order: str
) -> None:
    for name in names:
        (tmp_path / "val" / name).mkdir(parents=True)
        (tmp_path / "val" / name / f"image{name}.png").write_bytes(b"")
    if order == "natural":
        reader = pytest.importorskip("timm.data.readers.reader_image_folder")
        index = reader.find_images_and_targets(tmp_path / "val")[1]
    else:
        index = pytest.importorskip("torchvision.datasets.folder").find_classes(tmp_path / "val")[1]
    done = stage("preprocess/labels.py", "val", "labels.txt", "--order", order, cwd=tmp_path)
    assert done.returncode == 0 and "--order" not in done.stderr
    lines = (tmp_path / "labels.txt").read_text().split("\n")[:-1]
    assert dict(line.split() for line in lines) == {
        f"image{name}.png": str(number) for name, number in index.items()
    }


def test_says_which_order_numbered_folders_have(stage: Stage, tmp_path: Path) -> None:
    for name in range(12):
        (tmp_path / "val" / str(name)).mkdir(parents=True)
        (tmp_path / "val" / str(name) / f"{name}.png").write_bytes(b"")
    said = stage("preprocess/labels.py", "val", "labels.txt", cwd=tmp_path).stderr
    assert "'10' is class 2; for timm" in said and "'2' is class 2: give --order natural" in said
