"""Figures of texts against jiwer, rapidfuzz, sacrebleu, seqeval, scikit-learn and torchmetrics."""

from __future__ import annotations

import random
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portproof.core.errors import InputError
from portproof.metrics.predictions.log_probabilities import TokenScores
from portproof.metrics.tasks import (
    language_modelling,
    question_answering,
    speech_recognition,
    text_classification,
    text_recognition,
    token_classification,
    translation,
)
from portproof.metrics.truth.questions import Question
from portproof.metrics.truth.sentences import Sentence
from portproof.metrics.words.edit_distance import edit_distance
from portproof.metrics.words.entities import entities

from .judged import Pair, check_repeats, check_stakes, contributions, figures

WORDS = [
    "the",
    "a",
    "an",
    "one",
    "cat",
    "sat",
    "on",
    "mat,",
    "Mat!",
    "dog",
    "ran",
    "far",
    "7",
    "far-off",
    "über",
    "猫",
]
TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "E-LOC", "S-ORG", "I-ORG"]


def sentences(seed: int, count: int = 40, least: int = 1) -> list[tuple[str, str]]:
    """A truth and a prediction near it."""
    r = random.Random(seed)
    found = []
    for _ in range(count):
        true = [r.choice(WORDS) for _ in range(r.randint(least, 12))]
        said = [r.choice(WORDS) if r.random() < 0.2 else w for w in true if r.random() > 0.1]
        found.append((" ".join(said), " ".join(true)))
    return found


def plain_distance(one: str, other: str) -> int:
    """The table itself, row by row (Wagner and Fischer 1974)."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, start=1):
        before, row[0] = row[0], i
        for j, b in enumerate(other, start=1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]


@given(st.text("abcü", max_size=80), st.text("abcü", max_size=80))
def test_the_edit_distance_is_that_of_the_table(one: str, other: str) -> None:
    assert edit_distance(one, other) == plain_distance(one, other) == edit_distance(other, one)


@pytest.mark.parametrize("seed", range(4))
def test_wrong_words_are_jiwers(seed: int) -> None:
    jiwer = pytest.importorskip("jiwer")
    pairs = sentences(seed)
    said, true = [p[0] for p in pairs], [p[1] for p in pairs]
    found = figures(speech_recognition, pairs)
    assert found["WER"] == pytest.approx(jiwer.wer(true, said), abs=1e-12)
    assert found["CER"] == pytest.approx(jiwer.cer(true, said), abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_read_texts_are_rapidfuzzs(seed: int) -> None:
    levenshtein = pytest.importorskip("rapidfuzz.distance.Levenshtein")
    metrics = pytest.importorskip("torchmetrics.functional.text")
    pairs = sentences(seed, least=0)
    found = figures(text_recognition, pairs)
    near = [levenshtein.normalized_similarity(*pair) for pair in pairs]
    assert found["edit_similarity"] == pytest.approx(np.mean(near), abs=1e-12)
    assert found["exact_match"] == np.mean([said == true for said, true in pairs])
    rate = metrics.char_error_rate([p[0] for p in pairs], [p[1] for p in pairs])
    assert found["CER"] == pytest.approx(float(rate), abs=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_bleu_is_sacrebleus_of_the_corpus(seed: int) -> None:
    sacrebleu = pytest.importorskip("sacrebleu")
    pairs = sentences(seed)
    others = sentences(seed + 100)
    several = [(said, (true, other[1])) for (said, true), other in zip(pairs, others, strict=True)]
    wanted = sacrebleu.corpus_bleu(
        [said for said, _ in pairs], [[t[0] for _, t in several], [t[1] for _, t in several]]
    )
    assert figures(translation, several)["BLEU"] == pytest.approx(wanted.score / 100, abs=1e-12)
    single = [(said, (true,)) for said, true in pairs[:3]]
    wanted = sacrebleu.corpus_bleu([p[0] for p in single], [[p[1][0] for p in single]])
    assert figures(translation, single)["BLEU"] == pytest.approx(wanted.score / 100, abs=1e-12)


def tagged(seed: int, count: int = 30) -> list[tuple[list[str], Sentence]]:
    r = random.Random(seed)
    found = []
    for _ in range(count):
        true = [r.choice(TAGS) for _ in range(r.randint(1, 10))]
        said = [r.choice(TAGS) if r.random() < 0.3 else t for t in true]
        found.append((said, Sentence(tuple("w" for _ in true), tuple(true))))
    return found


@settings(deadline=None)
@given(st.lists(st.sampled_from(TAGS), max_size=12))
def test_entities_are_seqevals(tags: list[str]) -> None:
    labeling = pytest.importorskip("seqeval.metrics.sequence_labeling")
    assert entities(tags) == labeling.get_entities(list(tags))


@pytest.mark.parametrize("seed", range(4))
def test_figures_of_entities_are_seqevals(seed: int) -> None:
    metrics = pytest.importorskip("seqeval.metrics")
    pairs = tagged(seed)
    true, said = [list(s.tags) for _, s in pairs], [tags for tags, _ in pairs]
    found = figures(token_classification, pairs)
    assert found["F1"] == pytest.approx(metrics.f1_score(true, said), abs=1e-12)
    assert found["precision"] == pytest.approx(metrics.precision_score(true, said), abs=1e-12)
    assert found["recall"] == pytest.approx(metrics.recall_score(true, said), abs=1e-12)
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(true, said), abs=1e-12)
    macro = metrics.f1_score(true, said, average="macro")
    assert found["F1_macro"] == pytest.approx(macro, abs=1e-12)


def test_a_tag_of_another_scheme_is_refused() -> None:
    with pytest.raises(InputError, match="'L-PER' is of no known scheme"):
        entities(["B-PER", "L-PER"])


def labelled(seed: int, count: int = 60, classes: int = 5) -> list[tuple[int, int]]:
    r = np.random.default_rng(seed)
    true = r.integers(0, classes, count)
    said = np.where(r.random(count) < 0.6, true, r.integers(0, classes + 1, count))
    return list(zip(said.tolist(), true.tolist(), strict=True))


@pytest.mark.parametrize("seed", range(4))
def test_figures_of_classes_are_scikit_learns(seed: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    pairs = labelled(seed)
    said, true = [p[0] for p in pairs], [p[1] for p in pairs]
    found = figures(text_classification, pairs)
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(true, said), abs=1e-12)
    for kind in ("macro", "micro"):
        wanted = metrics.f1_score(true, said, average=kind, zero_division=0)
        assert found[f"F1_{kind}"] == pytest.approx(wanted, abs=1e-12)
    commonest = np.bincount(true).max() / len(true)
    rows = contributions(text_classification, pairs)
    assert text_classification.chance("accuracy", rows) == pytest.approx(commonest)


def answered(seed: int) -> list[tuple[str, Question]]:
    r = random.Random(seed)
    others = sentences(seed + 50)
    return [
        (said, Question((true, other[1]) if r.random() < 0.5 else (true,)))
        for (said, true), other in zip(sentences(seed), others, strict=True)
    ]


@pytest.mark.parametrize("seed", range(4))
def test_answers_are_judged_as_squad_is_by_torchmetrics(seed: int) -> None:
    metrics = pytest.importorskip("torchmetrics.functional.text")
    pairs = answered(seed)
    wanted = metrics.squad(
        [{"prediction_text": said, "id": str(i)} for i, (said, _) in enumerate(pairs)],
        [
            {"answers": {"text": list(q.answers), "answer_start": [0]}, "id": str(i)}
            for i, (_, q) in enumerate(pairs)
        ],
    )
    found = figures(question_answering, pairs)
    assert found["F1"] == pytest.approx(float(wanted["f1"]) / 100, abs=1e-6)
    assert found["exact_match"] == pytest.approx(float(wanted["exact_match"]) / 100, abs=1e-6)


def test_no_answer_is_right_where_there_is_none() -> None:
    pairs = [
        ("", Question(())),
        ("the", Question(())),
        ("cat", Question(())),
        ("", Question(("x",))),
    ]
    assert figures(question_answering, pairs)["F1"] == 0.5


def surprised(seed: int, count: int = 12) -> list[tuple[TokenScores, np.ndarray]]:
    r = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        length = int(r.integers(2, 20))
        logits = r.normal(0, 2, (length, 30))
        logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        tokens = r.integers(0, 30, length)
        tokens[r.random(length) < 0.1] = -100
        found.append((TokenScores(logs), tokens))
    return found


@pytest.mark.parametrize("seed", range(3))
def test_perplexity_is_torchmetricss(seed: int) -> None:
    torch = pytest.importorskip("torch")
    text = pytest.importorskip("torchmetrics.text")
    metric = text.Perplexity(ignore_index=-100)
    pairs = surprised(seed)
    for scores, tokens in pairs:
        logits = torch.from_numpy(scores.values[None, :-1])
        metric.update(logits, torch.from_numpy(tokens[None, 1:]))
    found = figures(language_modelling, pairs)
    assert found["perplexity"] == pytest.approx(float(metric.compute()), rel=1e-5)
    assert found["cross_entropy"] == pytest.approx(np.log(found["perplexity"]))  # type: ignore[arg-type]


CASES: list[tuple[ModuleType, list[Pair]]] = [
    (speech_recognition, list(sentences(1))),
    (text_recognition, list(sentences(2))),
    (translation, [(said, (true,)) for said, true in sentences(3)]),
    (token_classification, list(tagged(4))),
    (text_classification, list(labelled(5))),
    (question_answering, list(answered(6))),
    (language_modelling, list(surprised(7))),
]


@pytest.mark.parametrize(("task", "pairs"), CASES, ids=lambda c: getattr(c, "__name__", ""))
def test_counts_are_copies(task: ModuleType, pairs: list[Pair]) -> None:
    check_repeats(task, pairs)
    check_stakes(task, pairs)


@pytest.mark.parametrize(("task", "pairs"), CASES, ids=lambda c: getattr(c, "__name__", ""))
def test_without_any_sample_nothing_is_defined(task: ModuleType, pairs: list[Pair]) -> None:
    found = task.figures(contributions(task, pairs), np.zeros(len(pairs), np.int64))
    assert set(found.values()) == {None}
