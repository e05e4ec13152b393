"""Figures of pixels, regions and pictures against scikit-learn, torchmetrics and OpenCV."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portproof.core.errors import InputError
from portproof.metrics.matching.areas import area, shared_area
from portproof.metrics.predictions.restored import Picture
from portproof.metrics.tasks import (
    retrieval,
    semantic_segmentation,
    super_resolution,
    text_detection,
)
from portproof.metrics.truth import Truth
from portproof.metrics.truth.identities import Who
from portproof.metrics.truth.pixel_files import Mask
from portproof.metrics.truth.text_regions import Regions

from .judged import Pair, check_repeats, check_stakes, contributions, figures


def masks(seed: int, count: int = 8, classes: int = 6) -> list[tuple[np.ndarray, Mask]]:
    r = np.random.default_rng(seed)
    found = []
    for i in range(count):
        true = r.integers(0, classes - i % 2, (int(r.integers(5, 20)), 17))
        said = np.where(r.random(true.shape) < 0.7, true, r.integers(0, classes + 1, true.shape))
        true = np.where(r.random(true.shape) < 0.1, 255, true)
        found.append((said, Mask(true, 255, 0)))
    return found


@pytest.mark.parametrize("seed", range(4))
def test_overlaps_of_classes_are_scikit_learns(seed: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    pairs = masks(seed)
    said = np.concatenate([s[m.ids != 255] for s, m in pairs])
    true = np.concatenate([m.ids[m.ids != 255] for _, m in pairs])
    found = figures(semantic_segmentation, pairs)
    wanted = {
        "mIoU": metrics.jaccard_score(true, said, average="macro", zero_division=0),
        "mDice": metrics.f1_score(true, said, average="macro", zero_division=0),
        "pixel_accuracy": metrics.accuracy_score(true, said),
        "mean_accuracy": metrics.recall_score(
            true, said, average="macro", labels=np.unique(true), zero_division=0
        ),
    }
    assert found == pytest.approx(wanted, abs=1e-12)
    rows = contributions(semantic_segmentation, pairs)
    commonest = np.bincount(true).max() / true.size
    assert semantic_segmentation.chance("pixel_accuracy", rows) == pytest.approx(commonest)


def test_a_mask_that_is_ignored_whole_is_in_no_figure() -> None:
    empty = (np.zeros((3, 3), np.int64), Mask(np.full((3, 3), 255), 255, 0))
    assert figures(semantic_segmentation, [empty])["mIoU"] is None
    others = masks(9)
    assert figures(semantic_segmentation, [empty, *others]) == figures(
        semantic_segmentation, list(others)
    )


@pytest.mark.parametrize(
    ("said", "mask", "sentence"),
    [
        (np.zeros((3, 4), int), Mask(np.zeros((4, 3), int), 255, 0), "has 4 x 3 pixels"),
        (np.zeros((2, 2), int), Mask(np.full((2, 2), 7), 255, 5), "the class 7, and the truth has"),
        (np.full((2, 2), -1), Mask(np.zeros((2, 2), int), 255, 0), "classes from -1 to -1"),
    ],
)
def test_masks_that_do_not_fit_are_refused(said: np.ndarray, mask: Mask, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        semantic_segmentation.contribution(said, mask)


def pictures(seed: int, count: int = 5) -> list[tuple[Picture, np.ndarray]]:
    r = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        height, width = r.integers(24, 40, 2).tolist()
        base = np.add.outer(np.arange(height), np.arange(width))[:, :, None] * [2.0, 3.0, 1.0]
        true = np.rint(np.clip(base + r.normal(0, 20, base.shape), 0, 255))
        said = np.rint(np.clip(true + r.normal(0, 8, base.shape), 0, 255))
        found.append((Picture(said), true))
    return found


@pytest.mark.parametrize("seed", range(3))
def test_psnr_and_ssim_are_torchmetricss(seed: int) -> None:
    torch = pytest.importorskip("torch")
    image = pytest.importorskip("torchmetrics.functional.image")

    def tensor(levels: np.ndarray) -> object:
        return torch.from_numpy(levels).permute(2, 0, 1)[None].double()

    pairs = pictures(seed)
    psnr = [
        float(image.peak_signal_noise_ratio(tensor(p.pixels), tensor(t), data_range=255.0))
        for p, t in pairs
    ]
    ssim = []
    for picture, true in pairs:
        full = image.structural_similarity_index_measure(
            tensor(picture.pixels), tensor(true), data_range=255.0, return_full_image=True
        )[1]
        # torchmetrics means over a mirrored border too, Wang et al. only where the window fits
        ssim.append(float(full[..., 5:-5, 5:-5].mean()))
    found = figures(super_resolution, pairs)
    assert found["PSNR"] == pytest.approx(np.mean(psnr), abs=1e-5)
    assert found["SSIM"] == pytest.approx(np.mean(ssim), abs=1e-6)


def test_the_luma_is_that_of_bt_601() -> None:
    pil = pytest.importorskip("PIL.Image")
    levels = np.random.default_rng(0).integers(0, 256, (20, 20, 3)).astype(np.float64)
    full = np.asarray(pil.fromarray(levels.astype(np.uint8)).convert("YCbCr"))[:, :, 0]
    ours = super_resolution._luma(levels)[:, :, 0]
    # Pillow's is JPEG's, of 0 to 255: the same weights on another range
    assert ours == pytest.approx(16 + full.astype(float) * 219 / 255, abs=1.0)
    grey = levels[:, :, :1]
    assert super_resolution._luma(grey) is grey


def test_a_border_is_not_judged() -> None:
    true = np.random.default_rng(1).integers(0, 256, (30, 30, 3)).astype(np.float64)
    said = true.copy()
    said[:4] = 0
    assert figures(super_resolution, [(Picture(said), true)])["PSNR"] < 20  # type: ignore[operator]
    assert figures(super_resolution, [(Picture(said, border=4), true)])["PSNR"] == 100.0
    with pytest.raises(InputError, match="too few"):
        super_resolution.contribution(Picture(said, border=12), true)
    with pytest.raises(InputError, match="of one size"):
        super_resolution.contribution(Picture(said[:29]), true)


def quadrangle(r: np.random.Generator, centre: np.ndarray) -> np.ndarray:
    """Convex: points on an ellipse, in the order of their angles."""
    angles = np.sort(r.uniform(0, 2 * np.pi, 4))
    radius = r.uniform(5, 25, 2)
    return np.asarray(centre + np.stack([np.cos(angles), np.sin(angles)], axis=1) * radius)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6))
def test_shared_areas_are_opencvs(seed: int) -> None:
    cv2 = pytest.importorskip("cv2")
    r = np.random.default_rng(seed)
    one, other = quadrangle(r, np.zeros(2)), quadrangle(r, r.uniform(-15, 15, 2))
    if r.random() < 0.5:
        other = other[::-1]
    wanted = cv2.intersectConvexConvex(one.astype(np.float32), other.astype(np.float32))[0]
    assert shared_area(one, other) == pytest.approx(wanted, abs=0.05)
    assert area(one) == pytest.approx(cv2.contourArea(one.astype(np.float32)), abs=1e-2)


def test_a_shape_with_a_bay_shares_no_more_than_its_own() -> None:
    shape = np.array([[0, 0], [10, 0], [10, 10], [8, 10], [8, 2], [2, 2], [2, 10], [0, 10]], float)
    bay = np.array([[2, 2], [8, 2], [8, 10], [2, 10]], float)
    assert area(shape) == 52.0
    assert shared_area(shape, bay) == pytest.approx(0.0, abs=1e-9)
    assert shared_area(shape, shape) == pytest.approx(52.0)
    assert shared_area(bay + np.array([2.0, 0.0]), shape) == pytest.approx(16.0)


def regions(seed: int, count: int = 10) -> list[tuple[Regions, Regions]]:
    r = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        true = [quadrangle(r, r.uniform(0, 200, 2)) for _ in range(int(r.integers(0, 7)))]
        said = [p + r.normal(0, 2, 2) for p in true if r.random() < 0.8]
        said += [quadrangle(r, r.uniform(0, 200, 2)) for _ in range(int(r.integers(0, 3)))]
        unread = tuple(bool(b) for b in r.random(len(true)) < 0.2)
        truth = Regions(tuple(true), unread)
        found.append((Regions(tuple(said), (False,) * len(said)), truth))
    return found


def icdar(pairs: list[tuple[Regions, Regions]]) -> dict[str, float]:
    """ICDAR 2015's ``script.py``, as it is written there, with OpenCV's areas."""
    cv2 = pytest.importorskip("cv2")

    def inter(a: np.ndarray, b: np.ndarray) -> float:
        return float(cv2.intersectConvexConvex(a.astype(np.float32), b.astype(np.float32))[0])

    def size(a: np.ndarray) -> float:
        return float(cv2.contourArea(a.astype(np.float32)))

    matched = cared_truth = cared_said = 0
    for said, truth in pairs:
        dont_care = [i for i, ignored in enumerate(truth.ignored) if ignored]
        skip = []
        for j, det in enumerate(said.polygons):
            for i in dont_care:
                if size(det) and inter(truth.polygons[i], det) / size(det) > 0.5:
                    skip.append(j)
                    break
        gt_matched, det_matched = [0] * len(truth.polygons), [0] * len(said.polygons)
        for i, gt in enumerate(truth.polygons):
            for j, det in enumerate(said.polygons):
                if (
                    not gt_matched[i]
                    and not det_matched[j]
                    and i not in dont_care
                    and j not in skip
                ):
                    shared = inter(gt, det)
                    if shared / (size(gt) + size(det) - shared) > 0.5:
                        gt_matched[i] = det_matched[j] = 1
                        matched += 1
        cared_truth += len(truth.polygons) - len(dont_care)
        cared_said += len(said.polygons) - len(skip)
    recall, precision = matched / cared_truth, matched / cared_said
    return {
        "hmean": 2 * precision * recall / (precision + recall),
        "precision": precision,
        "recall": recall,
    }


@pytest.mark.parametrize("seed", range(6))
def test_text_regions_are_judged_as_icdar_does(seed: int) -> None:
    pairs = regions(seed)
    assert figures(text_detection, pairs) == pytest.approx(icdar(pairs), abs=1e-12)


def gallery(seed: int, cameras: bool) -> tuple[dict[str, np.ndarray], Truth]:
    r = np.random.default_rng(seed)
    everyone, vectors = {}, {}
    centres = r.normal(0, 1, (6, 8))
    for i in range(40):
        who = int(r.integers(0, 6))
        everyone[f"p{i}"] = Who(str(who), f"c{r.integers(0, 3)}" if cameras else "")
        vectors[f"p{i}"] = (centres[who] + r.normal(0, 1, 8)).astype(np.float32)
    names = list(everyone)
    queries = {n: everyone[n] for n in names[:15]}
    queries["lost"] = Who("nobody", "c9")
    vectors["lost"] = np.zeros(8, np.float32)
    facts = {"gallery": {n: everyone[n] for n in names[15:]}, "one_file": False}
    return vectors, Truth(samples=queries, files=[], facts=facts)


@pytest.mark.parametrize("cameras", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_ranks_are_torchmetricss(seed: int, cameras: bool) -> None:
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchmetrics.functional.retrieval")
    vectors, truth = gallery(seed, cameras)
    known = truth.facts["gallery"]
    precision, first, fifth = [], [], []
    for name, who in truth.samples.items():
        rows = [
            (
                1 / (1 + float(np.linalg.norm(vectors[name] - vectors[other]))),
                it.identity == who.identity,
            )
            for other, it in known.items()
            if not (cameras and it == who)
        ]
        scores = torch.tensor([score for score, _ in rows])
        target = torch.tensor([same for _, same in rows])
        if target.any():
            precision.append(float(functional.retrieval_average_precision(scores, target)))
            first.append(float(functional.retrieval_hit_rate(scores, target, top_k=1)))
            fifth.append(float(functional.retrieval_hit_rate(scores, target, top_k=5)))
    joined = retrieval.join(vectors, truth)
    found = figures(retrieval, [(joined[n], truth.samples[n]) for n in truth.samples])
    wanted = {"mAP": np.mean(precision), "rank1": np.mean(first), "rank5": np.mean(fifth)}
    assert found == pytest.approx(wanted, abs=1e-6)


def test_embeddings_that_say_nothing_find_nobody() -> None:
    """All at one place: the others stand first."""
    vectors, truth = gallery(0, False)
    flat = dict.fromkeys(vectors, np.zeros(8, np.float32))
    joined = retrieval.join(flat, truth)
    found = figures(retrieval, [(joined[n], truth.samples[n]) for n in truth.samples])
    assert found["rank1"] == 0.0 and found["mAP"] < 0.2  # type: ignore[operator]


def test_a_gallery_without_all_its_results_is_refused() -> None:
    vectors, truth = gallery(0, False)
    del vectors["p20"]
    with pytest.raises(InputError, match="1 of 25 samples of the gallery have no result"):
        retrieval.join(vectors, truth)


def queries(seed: int) -> list[Pair]:
    vectors, truth = gallery(seed, True)
    joined = retrieval.join(vectors, truth)
    return [(joined[n], truth.samples[n]) for n in truth.samples]


CASES: list[tuple[ModuleType, list[Pair]]] = [
    (semantic_segmentation, list(masks(1))),
    (super_resolution, list(pictures(2))),
    (text_detection, list(regions(3))),
    (retrieval, queries(4)),
]


@pytest.mark.parametrize(("task", "pairs"), CASES, ids=lambda c: getattr(c, "__name__", ""))
def test_counts_are_copies(task: ModuleType, pairs: list[Pair]) -> None:
    check_repeats(task, pairs)
    check_stakes(task, pairs)


@pytest.mark.parametrize(("task", "pairs"), CASES, ids=lambda c: getattr(c, "__name__", ""))
def test_without_any_sample_nothing_is_defined(task: ModuleType, pairs: list[Pair]) -> None:
    found = task.figures(contributions(task, pairs), np.zeros(len(pairs), np.int64))
    assert set(found.values()) == {None}
