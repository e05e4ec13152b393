"""Every other kind of post-processing, against a reference where there is one."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portproof.core import plugins
from portproof.core.errors import InputError
from portproof.metrics.decoding.arrays import Sample
from portproof.metrics.truth.questions import Question
from portproof.metrics.truth.sentences import Sentence
from portproof.postprocess import Postprocess
from portproof.recipe import Recipe, Resize

EXACT = Recipe(resize=Resize(rule="exact", size=(32, 48)), mean=(0, 0, 0), std=(1, 1, 1))


def decoded(
    kind: str, outputs: Any, sample: Sample | None = None, folder: Path = Path(), **said: Any
) -> Any:
    record = msgspec.convert({"kind": kind, **said}, Postprocess)
    module = plugins.load("portproof.metrics.postprocess", kind, "kind")
    named = outputs if isinstance(outputs, dict) else {"out": outputs}
    return module.decoder(record, folder)(named, sample or Sample("a"))


def greedy(scores: np.ndarray, symbols: list[str], blank: int) -> str:
    """Graves et al. 2006: the best path, repeats once, then without blanks."""
    path = [int(k) for k, _ in groupby(scores.argmax(axis=1).tolist())]
    return "".join(symbols[k] for k in path if k != blank)


@settings(max_examples=100)
@given(st.integers(0, 10**6), st.integers(0, 4), st.integers(1, 30))
def test_ctc_is_the_greedy_path(seed: int, blank: int, steps: int) -> None:
    scores = np.random.default_rng(seed).normal(0, 1, (steps, 5)).astype(np.float32)
    symbols = list("abcde")
    wanted = greedy(scores, symbols, blank)
    assert decoded("ctc", scores, symbols=symbols, blank=blank) == wanted
    assert decoded("ctc", scores.T, symbols=symbols, blank=blank, steps=1) == wanted
    assert decoded("ctc", scores[:, None], symbols=symbols, blank=blank) == wanted
    without = symbols[:blank] + symbols[blank + 1 :]
    assert decoded("ctc", scores, symbols=without, blank=blank) == wanted
    assert decoded("ctc", scores, symbols=symbols, blank=blank - 5) == wanted
    ids = scores.argmax(axis=1)
    assert decoded("ctc", ids, symbols=symbols, blank=blank, ready=True) == wanted


def test_an_alphabet_is_a_file_with_a_symbol_a_line(tmp_path: Path) -> None:
    (tmp_path / "keys.txt").write_text("a\r\n|\n猫\n", encoding="utf-8")
    scores = np.eye(4, dtype=np.float32)[[1, 1, 2, 0, 3, 3, 0, 3]]
    said = {"alphabet": "keys.txt", "replace": {"|": " "}}
    assert decoded("ctc", scores, folder=tmp_path, **said) == "a 猫猫"
    with pytest.raises(InputError, match="has 6 classes, and the alphabet has 3 symbols"):
        decoded("ctc", np.zeros((2, 6), np.float32), folder=tmp_path, **said)
    (tmp_path / "keys.txt").write_text("a\n\nb\n")
    with pytest.raises(InputError, match="line 2: it is empty"):
        decoded("ctc", scores, folder=tmp_path, **said)


def test_ids_outside_the_alphabet_are_refused() -> None:
    with pytest.raises(InputError, match="holds ids to 9"):
        decoded("ctc", np.array([1, 9]), symbols=["a", "b"], ready=True)
    with pytest.raises(InputError, match="'blank' is 7"):
        decoded("ctc", np.zeros((2, 3), np.float32), symbols=["a", "b"], blank=7)


@pytest.mark.parametrize("size", [(32, 48), (64, 96), (31, 77), (16, 24), (100, 33)])
def test_scores_are_resized_as_torch_does(size: tuple[int, int]) -> None:
    torch = pytest.importorskip("torch")
    scores = np.random.default_rng(0).normal(0, 1, (5, 32, 48)).astype(np.float32)
    resized = torch.nn.functional.interpolate(
        torch.from_numpy(scores)[None], size=size, mode="bilinear", align_corners=False
    )[0]
    sample = Sample("a", size, (32, 48), EXACT)
    found = decoded("label_map", scores, sample)
    assert found.shape == size
    wanted = resized.numpy().argmax(axis=0)
    assert (found == wanted).mean() > 0.999  # a tie may fall otherwise in another order of sums
    same = decoded("label_map", np.moveaxis(scores, 0, 2), sample, axis=2)
    assert np.array_equal(same, found)


@pytest.mark.parametrize("size", [(64, 96), (31, 77), (20, 30)])
def test_ids_are_resized_as_pillow_does(size: tuple[int, int]) -> None:
    image = pytest.importorskip("PIL.Image")
    ids = np.random.default_rng(0).integers(0, 9, (32, 48))
    wanted = image.fromarray(ids.astype(np.uint8)).resize(size[::-1], image.Resampling.NEAREST)
    sample = Sample("a", size, (32, 48), EXACT)
    found = decoded("label_map", ids, sample, ready=True)
    # Pillow adds up its steps: where a centre falls on a border, it may take the other pixel
    clear = np.ix_(
        *((2 * np.arange(n) + 1) * m % (2 * n) != 0 for n, m in zip(size, (32, 48), strict=False))
    )
    assert np.array_equal(found[clear], np.asarray(wanted)[clear]) and found[clear].size > 300
    scores = np.moveaxis(np.eye(9, dtype=np.float32)[ids], 2, 0)
    assert np.array_equal(decoded("label_map", scores, sample, resize="nearest"), found)


def test_the_padding_of_a_letterbox_is_cut_off() -> None:
    ids = np.zeros((8, 8), np.int64)
    ids[2:6] = np.arange(8)
    sample = Sample("a", (4, 8), (8, 8))
    frame = {"rule": "letterbox"}
    found = decoded("label_map", ids, sample, ready=True, frame=frame)
    assert np.array_equal(found, np.tile(np.arange(8), (4, 1)))
    scores = np.moveaxis(np.eye(8, dtype=np.float32)[ids], 2, 0)
    assert np.array_equal(decoded("label_map", scores, sample, frame=frame), found)
    half = decoded("label_map", ids[::2, ::2], sample, ready=True, frame=frame)  # a stride of 2
    assert half.shape == (4, 8) and np.array_equal(half[0], np.repeat([0, 2, 4, 6], 2))


def test_one_channel_is_a_score_of_class_1() -> None:
    scores = np.array([[[-1.0, 0.5], [0.2, -0.1]]], np.float32)
    assert decoded("label_map", scores).tolist() == [[0, 1], [1, 0]]
    assert decoded("label_map", scores[0], threshold=0.3).tolist() == [[0, 1], [0, 0]]
    assert decoded("label_map", scores, class_ids=[7, 9]).tolist() == [[7, 9], [9, 7]]


def test_a_recipe_that_crops_is_no_ground_for_a_label_map() -> None:
    crop = Recipe(resize=Resize(size=(40,)), crop=(32, 32), mean=(0, 0, 0), std=(1, 1, 1))
    scores = np.zeros((3, 32, 32), np.float32)
    with pytest.raises(InputError, match="the recipe crops the image"):
        decoded("label_map", scores, Sample("a", (80, 80), (32, 32), crop))


@pytest.mark.parametrize(
    ("array", "said", "sentence"),
    [
        (np.zeros((100, 3, 4)), {}, "correct 'axis'"),
        (np.zeros((2, 3, 4, 5)), {}, "classes, height, width"),
        (np.full((4, 4), 0.5), {"ready": True}, "no whole ids"),
    ],
)
def test_maps_of_another_form_are_refused(
    array: np.ndarray, said: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        decoded("label_map", array.astype(np.float32), **said)


def test_how_a_map_became_smaller_must_be_known() -> None:
    with pytest.raises(InputError, match="give 'frame'"):
        decoded("label_map", np.zeros((2, 8, 8), np.float32), Sample("a", (16, 16)))


def test_classes() -> None:
    assert decoded("classes", np.array([0.1, 0.7, 0.2])) == 1
    assert decoded("classes", np.array([[0.3]])) == 1
    assert decoded("classes", np.array([[-0.3]])) == 0
    assert decoded("classes", np.array([0.1, 0.7]), class_ids=[4, 6]) == 6
    with pytest.raises(InputError, match=r"has the shape \(2, 3\)"):
        decoded("classes", np.zeros((2, 3)))


def test_tags_are_those_of_the_words_first_tokens(tmp_path: Path) -> None:
    (tmp_path / "tags.txt").write_text("O\nB-X\nI-X\n")
    scores = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 2]]
    words = Sentence(("a", "b", "c"), ())
    at = Sentence(("a", "b", "c"), (), (1, 4, 9))
    given = {"folder": tmp_path, "names": "tags.txt"}
    first = decoded("tags", scores, Sample("a", context=words), first=1, **given)
    assert first == ["B-X", "I-X", "O"]
    cut = decoded("tags", scores, Sample("a", context=at), **given)
    assert cut == ["B-X", "I-X", "O"]  # the last word was cut off
    ids = decoded("tags", scores.argmax(axis=1), Sample("a", context=at), ready=True, **given)
    assert ids == cut
    with pytest.raises(InputError, match="3 classes, and there are 2 names"):
        decoded("tags", scores, Sample("a", context=at), names=["O", "B-X"])


def best_span(start: np.ndarray, end: np.ndarray, inside: list[bool], most: int) -> tuple[int, int]:
    """Every pair, one after the other."""
    pairs = [
        (float(start[i]) + float(end[j]), -i, -j)
        for i in range(len(start))
        for j in range(i, min(i + most, len(end)))
        if inside[i] and inside[j]
    ]
    best = max(pairs)
    return -best[1], -best[2]


@pytest.mark.parametrize("seed", range(5))
def test_an_answer_is_the_best_span(seed: int) -> None:
    r = np.random.default_rng(seed)
    context = "".join(chr(97 + i) for i in range(20))
    offsets = [None, None, *[(i, i + 1) for i in range(20)], None]
    start, end = (r.normal(0, 1, len(offsets)).astype(np.float32) for _ in range(2))
    sample = Sample("a", context=Question((), context, tuple(offsets)))
    i, j = best_span(start, end, [o is not None for o in offsets], 4)
    found = decoded("spans", {"s": start, "e": end}, sample, max_tokens=4)
    assert found == context[i - 2 : j - 1]


def test_no_answer_when_none_is_better() -> None:
    context = Question((), "ab", (None, (0, 1), (1, 2)))
    scores = {"s": np.array([5.0, 1, 0]), "e": np.array([5.0, 1, 0])}
    sample = Sample("a", context=context)
    assert decoded("spans", scores, sample) == "a"
    assert decoded("spans", scores, sample, null_threshold=0.0) == ""
    assert decoded("spans", scores, sample, null_threshold=9.0) == "a"
    with pytest.raises(InputError, match="has no 'offsets'"):
        decoded("spans", scores, Sample("a", context=Question((), "ab")))


@pytest.mark.parametrize(
    ("join", "wanted"),
    [
        ("space", "un ##real ▁cat"),
        ("wordpiece", "unreal ▁cat"),
        ("none", "un##real▁cat"),
        ("sentencepiece", "un##real cat"),
    ],
)
def test_text_of_ids(tmp_path: Path, join: str, wanted: str) -> None:
    (tmp_path / "v.txt").write_text("[PAD]\n[SEP]\nun\n##real\n▁cat\n", encoding="utf-8")
    said = {"folder": tmp_path, "vocabulary": "v.txt", "stop": [1], "skip": [0]}
    ids = np.array([0, 2, 3, 4, 1, 2])
    assert decoded("text", ids, join=join, **said) == wanted
    scores = np.eye(5, dtype=np.float32)[ids]
    assert decoded("text", scores, join=join, scores=True, **said) == wanted
    with pytest.raises(InputError, match="the id 5, and the vocabulary has 5"):
        decoded("text", np.array([5]), **said)
    with pytest.raises(InputError, match="no ids"):
        decoded("text", np.array([0.5]), **said)


def test_images() -> None:
    levels = np.array([[[0.0, 0.5], [1.0, np.nan]]] * 3, np.float32)
    levels[2] = 2.0
    found = decoded("image", levels, channels="BGR", border=2)
    assert found.border == 2
    assert found.pixels[..., 0].tolist() == [[255, 255], [255, 255]]
    assert found.pixels[..., 2].tolist() == [[0, 128], [255, 0]]
    turned = decoded("image", np.moveaxis(levels, 0, 2), channels="BGR", layout="HWC")
    assert np.array_equal(turned.pixels, found.pixels)
    by_std = decoded("image", levels, scale=[255, 127.5, 1], shift=[0, 10, 0], round=False)
    assert by_std.pixels[0, 1].tolist() == [127.5, 73.75, 2.0]
    with pytest.raises(InputError, match="correct 'layout'"):
        decoded("image", levels, layout="HWC")


def test_embeddings_and_probabilities() -> None:
    assert decoded("embedding", np.ones((1, 2, 1), np.float16)).tolist() == [1.0, 1.0]
    logits = np.array([[0.0, np.log(3.0)]])
    for values, form in (
        (logits, "logits"),
        (np.array([[0.25, 0.75]]), "probabilities"),
        (np.log([[0.25, 0.75]]), "log_probabilities"),
    ):
        found = decoded("log_probabilities", values, values=form)
        assert found.values == pytest.approx(np.log([[0.25, 0.75]])) and found.shift == 1
    with pytest.raises(InputError, match="numbers under 0"):
        decoded("log_probabilities", np.log([[0.5, 0.5]]), values="probabilities")


def test_an_output_must_be_named_where_there_are_several() -> None:
    outputs = {"logits": np.array([0.0, 1.0]), "hidden": np.zeros(4)}
    with pytest.raises(InputError, match=r"no output was named .* 2 \(logits, hidden\)"):
        decoded("classes", outputs)
    assert decoded("classes", outputs, output="logits") == 1
    assert decoded("classes", outputs, output=1) == 1
    with pytest.raises(InputError, match="there is no output 3"):
        decoded("classes", outputs, output=3)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("ctc", {"symbols": ["a"]}),
        ("ctc", {"symbols": ["a"], "ready": True}),
        ("label_map", {}),
        ("label_map", {"ready": True}),
        ("classes", {}),
        ("image", {}),
        ("log_probabilities", {}),
        ("tags", {"names": ["O"]}),
        ("spans", {"start": 1, "end": 1}),
    ],
)
@pytest.mark.parametrize("shape", [(0,), (0, 4), (4, 0), (0, 4, 4), (3, 0, 0)])
def test_empty_outputs_are_refused(kind: str, said: dict[str, Any], shape: tuple[int, ...]) -> None:
    sample = Sample("a", context=Sentence(("w",), ()))
    with pytest.raises(InputError, match="is empty"):
        decoded(kind, np.zeros(shape, np.float32), sample, **said)
