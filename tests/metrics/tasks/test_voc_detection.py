"""VOC's mean average precision against the development kit's algorithm, written out here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portproof.core.errors import InputError
from portproof.metrics.evaluation.contributions import Contributions
from portproof.metrics.predictions.instances import read
from portproof.metrics.tasks import voc_detection as task

#: name -> list of (class, difficult, (xmin, ymin, xmax, ymax))
Truth = dict[str, list[tuple[str, bool, tuple[int, int, int, int]]]]
#: list of (image, class, score, box)
Found = list[tuple[str, str, float, tuple[int, int, int, int]]]


def by_devkit(truth: Truth, found: Found, levels: bool) -> float | None:
    """``VOCevaldet.m`` and ``VOCap.m``, class by class, in plain loops."""
    values = []
    for name in sorted({c for objects in truth.values() for c, _, _ in objects}):
        boxes = {i: [(b, d) for c, d, b in objects if c == name] for i, objects in truth.items()}
        taken = {i: [False] * len(b) for i, b in boxes.items()}
        npos = sum(not d for b in boxes.values() for _, d in b)
        mine = sorted((f for f in found if f[1] == name), key=lambda f: -f[2])
        tp, fp = np.zeros(len(mine)), np.zeros(len(mine))
        for at, (image, _, _, bb) in enumerate(mine):
            ovmax, jmax = -np.inf, -1
            for j, (gt, _) in enumerate(boxes[image]):
                bi = max(bb[0], gt[0]), max(bb[1], gt[1]), min(bb[2], gt[2]), min(bb[3], gt[3])
                iw, ih = bi[2] - bi[0] + 1, bi[3] - bi[1] + 1
                if iw > 0 and ih > 0:
                    ua = (bb[2] - bb[0] + 1) * (bb[3] - bb[1] + 1)
                    ua += (gt[2] - gt[0] + 1) * (gt[3] - gt[1] + 1) - iw * ih
                    if iw * ih / ua > ovmax:
                        ovmax, jmax = iw * ih / ua, j
            if ovmax >= 0.5:
                if not boxes[image][jmax][1]:
                    if not taken[image][jmax]:
                        tp[at] = 1
                        taken[image][jmax] = True
                    else:
                        fp[at] = 1
            else:
                fp[at] = 1
        if npos:
            values.append(ap(np.cumsum(tp), np.cumsum(fp), npos, levels))
    return float(np.mean(values)) if values else None


def ap(tp: np.ndarray, fp: np.ndarray, npos: int, levels: bool) -> float:
    with np.errstate(invalid="ignore"):
        rec, prec = tp / npos, np.nan_to_num(tp / (fp + tp))
    if levels:
        return sum(max(prec[rec >= k / 10], default=0.0) for k in range(11)) / 11
    mrec, mpre = np.r_[0, rec, 1], np.r_[0, prec, 0]
    for i in range(len(mpre) - 2, -1, -1):
        mpre[i] = max(mpre[i], mpre[i + 1])
    i = np.flatnonzero(mrec[1:] != mrec[:-1]) + 1
    return float(((mrec[i] - mrec[i - 1]) * mpre[i]).sum())


def write(folder: Path, truth: Truth, found: Found) -> tuple[Path, Path]:
    """The annotations, and the files of results."""
    xml, results = folder / "Annotations", folder / "results"
    for place in (xml, results):
        place.mkdir(exist_ok=True)
        for old in place.iterdir():
            old.unlink()
    for name, objects in truth.items():
        text = "".join(
            f"<object><name>{c}</name><difficult>{int(d)}</difficult><bndbox><xmin>{b[0]}</xmin>"
            f"<ymin>{b[1]}</ymin><xmax>{b[2]}</xmax><ymax>{b[3]}</ymax></bndbox></object>"
            for c, d, b in objects
        )
        size = "<size><width>300</width><height>200</height><depth>3</depth></size>"
        (xml / f"{name}.xml").write_text(f"<annotation>{size}{text}</annotation>")
    for name in {f[1] for f in found}:
        lines = [f"{f[0]} {f[2]} {' '.join(map(str, f[3]))}\n" for f in found if f[1] == name]
        (results / f"comp4_det_test_{name}.txt").write_text("".join(lines))
    return xml, results


def contributions(truth: Path, found: Path) -> Contributions:
    known = task.read_truth(truth)
    predictions = read(found, known)
    assert predictions is not None
    parts = [task.contribution(predictions[i], known.samples[i]) for i in known.samples]
    return Contributions.of(list(known.samples), parts)


def check(folder: Path, truth: Truth, found: Found) -> Contributions:
    these = contributions(*write(folder, truth, found))
    values = task.figures(these, np.ones(len(these), np.int64))
    for name, levels in (("mAP", False), ("mAP07", True)):
        expected = by_devkit(truth, found, levels)
        assert (values[name] is None) == (expected is None)
        assert values[name] == pytest.approx(expected, abs=1e-12)
    return these


def world(seed: int, images: int = 30) -> tuple[Truth, Found]:
    r = np.random.default_rng(seed)
    truth: Truth = {}
    found: Found = []
    for i in range(images):
        name = f"{i:06}"
        truth[name] = []
        for _ in range(int(r.integers(0, 5))):
            x, y = r.integers(1, 150, 2).tolist()
            w, h = r.integers(1, 90, 2).tolist()
            kind = str(r.choice(["cat", "dog", "tvmonitor"]))
            truth[name].append((kind, bool(r.random() < 0.2), (x, y, x + w, y + h)))
            for _ in range(int(r.integers(0, 4))):
                dx, dy = r.integers(-12, 13, 2).tolist()
                box = (x + dx, y + dy, x + dx + w, y + dy + h)
                found.append((name, kind, float(r.integers(1, 20)) / 20, box))
    return truth, found


@pytest.mark.parametrize("seed", range(6))
def test_generated_images(tmp_path: Path, seed: int) -> None:
    check(tmp_path, *world(seed, 10 + 10 * seed))


box = st.tuples(*[st.integers(1, 12)] * 2, *[st.integers(12, 24)] * 2)
kinds = st.sampled_from(["cat", "dog"])


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.dictionaries(
        st.sampled_from("abc"),
        st.lists(st.tuples(kinds, st.booleans(), box), max_size=5),
        min_size=1,
    ),
    st.lists(st.tuples(kinds, st.integers(0, 3), box), min_size=1, max_size=12),
)
def test_any_images(tmp_path: Path, truth: Truth, some: list[tuple]) -> None:
    truth = dict(sorted(truth.items()))
    images = list(truth)
    # ties go by the order of the images, and then by that of the lines
    found = [(images[at % len(images)], c, s / 3, b) for at, (c, s, b) in enumerate(some)]
    check(tmp_path, truth, sorted(found, key=lambda f: f[0]))


def test_counts_are_copies(tmp_path: Path) -> None:
    truth, found = world(3)
    r = np.random.default_rng(0)
    found = [(i, c, float(r.random()), b) for i, c, _, b in found]
    these = check(tmp_path, truth, found)
    counts = r.integers(0, 4, len(these))
    copies = these.take(np.repeat(np.arange(len(these)), counts))
    repeated = task.figures(copies, np.ones(len(copies), np.int64))
    assert task.figures(these, counts) == pytest.approx(repeated, abs=1e-12)
    assert task.stakes("mAP", these).sum() == pytest.approx(1)


def test_a_list_of_ids_chooses_images(tmp_path: Path) -> None:
    truth, found = world(3)
    xml, results = write(tmp_path, truth, found)
    listed = tmp_path / "ImageSets" / "Main" / "test.txt"
    listed.parent.mkdir(parents=True)
    listed.write_text("000003\n000001 -1\n")
    known = task.read_truth(listed)
    assert list(known.samples) == ["000001", "000003"] and known.size("000001") == (200, 300)
    assert listed in known.files and xml / "000003.xml" in known.files
    with pytest.raises(InputError, match="image_id that the truth does not have"):
        read(results, known)
    for text in ("000099\n", "", "../../etc/passwd\n"):
        listed.write_text(text)
        with pytest.raises(InputError, match="VOC ids"):
            task.read_truth(listed)


def test_json_with_the_names_of_images(tmp_path: Path) -> None:
    truth, found = world(3)
    xml, results = write(tmp_path, truth, found)
    known = task.read_truth(xml)
    number = {name: at for at, name in known.facts["classes"].items()}
    assert (number["aeroplane"], number["tvmonitor"]) == (1, 20)
    entries = [
        {
            "image_id": image,
            "category_id": number[kind],
            "score": score,
            "bbox": [b[0] - 1, b[1] - 1, b[2] - b[0], b[3] - b[1]],
        }
        for image, kind, score, b in found
    ]
    (tmp_path / "found.json").write_text(json.dumps(entries))
    one, other = contributions(xml, tmp_path / "found.json"), contributions(xml, results)
    ones = np.ones(len(one), np.int64)
    assert task.figures(one, ones) == pytest.approx(task.figures(other, ones))


def test_own_classes(tmp_path: Path) -> None:
    truth, found = {"a": [("0", False, (1, 1, 9, 9))]}, [("a", "0", 0.5, (1, 1, 9, 9))]
    xml, results = write(tmp_path, truth, found)
    with pytest.raises(InputError, match=r"the class '0' is not one of aeroplane.*classes.txt"):
        task.read_truth(xml)
    (xml / "classes.txt").write_text("1\n0\n")
    assert task.read_truth(xml).facts["classes"] == {1: "1", 2: "0"}
    these = contributions(xml, results)
    assert task.figures(these, np.ones(1, np.int64)) == {"mAP": 1.0, "mAP07": pytest.approx(1.0)}


BOMB = '<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]><annotation>&c;</annotation>'


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<annotation>",
        "<html></html>",
        "not xml",
        BOMB,
        "<annotation><object/></annotation>",
        "<annotation><object><name>cat</name></object></annotation>",
        "<annotation><object><name>cat</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>x</xmax>"
        "<ymax>2</ymax></bndbox></object></annotation>",
        "<annotation><object><name>cat</name><bndbox><xmin>9</xmin><ymin>1</ymin><xmax>2</xmax>"
        "<ymax>2</ymax></bndbox></object></annotation>",
        "<annotation><object><name>cat</name><bndbox><xmin>nan</xmin><ymin>1</ymin><xmax>2</xmax>"
        "<ymax>2</ymax></bndbox></object></annotation>",
        "\x00\x01",
        '<?xml version="1.0" encoding="utf-16"?><annotation><object>',
        "<a>" * 100000,
    ],
)
def test_damaged_annotations_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(InputError, match="VOC annotation"):
        task.read_truth(tmp_path)


def test_an_encoding_is_no_way_around(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_bytes(BOMB.encode("utf-16"))
    with pytest.raises(InputError, match="not UTF-8"):
        task.read_truth(tmp_path)
    (tmp_path / "a.xml").unlink()
    with pytest.raises(InputError, match=r"no \.xml file"):
        task.read_truth(tmp_path)


@pytest.mark.parametrize(
    "line", ["000001", "000001 1 2 3 4", "000001 x 1 1 2 2", "000001 1 9 1 2 2"]
)
def test_damaged_results_are_refused(tmp_path: Path, line: str) -> None:
    truth, found = world(3)
    xml, results = write(tmp_path, truth, found)
    with open(results / "comp4_det_test_cat.txt", "a") as file:
        file.write(line + "\n")
    with pytest.raises(InputError, match=r"VOC results '.*cat.txt', line"):
        contributions(xml, results)


def test_other_files_among_the_results_are_refused(tmp_path: Path) -> None:
    xml, results = write(tmp_path, *world(3))
    (results / "notes.md").write_text("")
    with pytest.raises(InputError, match=r"1 others \(notes.md\)"):
        contributions(xml, results)
