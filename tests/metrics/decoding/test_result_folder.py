"""Result files become predictions and figures, by a record, a YAML file, a card, or a function."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from portproof.card import Card, read_card
from portproof.core.errors import InputError
from portproof.metrics.evaluation.evaluate import evaluate
from portproof.metrics.evaluation.origin import Decoding
from portproof.metrics.tasks import task_names

CARD = """name: tiny
builder: model.py:make
inputs: [{name: image, shape: [3, 32, 48]}]
outputs: [{name: logits, shape: [4, 32, 48]}]
recipe:
  resize: {rule: exact, size: [32, 48]}
task: semantic_segmentation
postprocess: {kind: label_map}
metric: mDice
margin: 0.5
"""


def results(folder: Path, arrays: dict[str, list[np.ndarray]], form: str = "bin") -> Path:
    """Result files, of outputs counted from 1."""
    folder.mkdir()
    for sample, outputs in arrays.items():
        for number, array in enumerate(outputs, start=1):
            path = folder / f"{sample}_{number}.{form}"
            if form == "npy":
                np.save(path, array)
            else:
                path.write_bytes(array.tobytes())
    return folder


def figures(*arguments: Any, **options: Any) -> dict[str, float | None]:
    return {v.name: v.value for v in evaluate(*arguments, **options).figures}


def texts(tmp_path: Path) -> tuple[Path, Path]:
    """Two texts of the alphabet ab, the second read wrong; blank 0."""
    hot = np.eye(3, dtype=np.float32)
    found = {"x": [hot[[1, 1, 0, 1, 2]]], "y": [hot[[2, 0, 0, 2, 2]]]}
    (tmp_path / "truth.txt").write_text("x.png aab\ny.png ba\n")
    return results(tmp_path / "result", found), tmp_path / "truth.txt"


def test_a_yaml_file_decodes_bin_files_without_a_sidecar(tmp_path: Path) -> None:
    result, truth = texts(tmp_path)
    post = tmp_path / "post.yaml"
    post.write_text("kind: ctc\nalphabet: keys.txt\nshapes: [[-1, 3]]\n")
    (tmp_path / "keys.txt").write_text("a\nb\n")
    decoding = Decoding(str(post))
    found = figures(result, truth, "text_recognition", decoding=decoding)
    assert found == {"exact_match": 0.5, "edit_similarity": 0.75, "CER": 0.2}
    out, outcomes = tmp_path / "out.json", tmp_path / "outcomes.npz"
    evaluate(
        result, truth, "text_recognition", decoding=Decoding(str(post)), out=out, outcomes=outcomes
    )
    proof = json.loads((tmp_path / "out.json.proof.json").read_text())
    names = {Path(r["path"]).name for r in proof["inputs"]["postprocess"]}
    assert names == {"post.yaml", "keys.txt"}
    assert proof["parameters"]["postprocess"]["kind"] == "ctc"
    again = figures(outcomes, truth, "text_recognition")
    assert again == found
    (tmp_path / "keys.txt").write_text("b\na\n")
    changed = evaluate(result, truth, "text_recognition", decoding=Decoding(str(post)), out=out)
    assert changed.figures[0].value == 0.0, "another alphabet is another answer"


def test_a_card_names_post_processing_shapes_and_figure(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    (tmp_path / "card.yaml").write_text(CARD)
    (tmp_path / "masks").mkdir()
    r = np.random.default_rng(0)
    arrays = {}
    for name in ("a", "b"):
        ids = r.integers(0, 4, (32, 48))
        arrays[name] = [np.moveaxis(np.eye(4, dtype=np.float32)[ids], 2, 0)]
        image.fromarray(ids.astype(np.uint8)).save(tmp_path / "masks" / f"{name}.png")
    card = read_card(tmp_path / "card.yaml")
    result = results(tmp_path / "result", arrays)
    task, truth = card.task, tmp_path / "masks"
    assert figures(result, truth, task, decoding=Decoding(card=card))["mIoU"] == 1.0
    half = {n: [a[0].astype(np.float16)] for n, a in arrays.items()}
    as_half = results(tmp_path / "half", half)
    decoding = Decoding(card=card, dtype="float16")
    assert figures(as_half, truth, task, decoding=decoding)["mIoU"] == 1.0
    with pytest.raises(InputError, match=r"has the shape \(3072,\)"):
        figures(as_half, truth, task, decoding=Decoding(card=card))
    ready = figures(truth, truth, task, decoding=Decoding(card=card))
    assert ready["mDice"] == 1.0, "ready masks need no post-processing"


def test_packed_results_give_the_same_figures(tmp_path: Path, packed: Callable[..., Path]) -> None:
    """And are not taken for ready predictions, which a file for every sample would be."""
    result, truth = texts(tmp_path)
    post = tmp_path / "post.yaml"
    post.write_text("kind: ctc\nalphabet: keys.txt\nshapes: [[-1, 3]]\n")
    (tmp_path / "keys.txt").write_text("a\nb\n")
    pack, decoding = packed(result), Decoding(str(post))
    made: list[dict[str, float | None]] = []
    for folder in (result, pack):
        out, outcomes = tmp_path / f"{folder.name}.json", tmp_path / f"{folder.name}.npz"
        kept = {"decoding": decoding, "out": out, "outcomes": outcomes}
        made.append(figures(folder, truth, "text_recognition", **kept))
        assert figures(outcomes, truth, "text_recognition") == made[0]
    assert made[0] == made[1] and made[0]["CER"] == 0.2
    with pytest.raises(InputError, match="holds no ready predictions"):
        evaluate(pack, truth, "text_recognition")
    (pack / "ids.txt").write_text("x\nx\n")
    with pytest.raises(InputError, match="more than one file"):
        figures(pack, truth, "text_recognition", decoding=decoding)


USER = """
import numpy as np

def decode(outputs, sample):
    return "".join(" ab"[k] for k in outputs["output 1"].reshape(-1, 3).argmax(1) if k)[:3]

def number(outputs, sample):
    return 5

def broken(outputs, sample):
    return outputs["nope"]
"""


def test_a_function_of_the_user_decodes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result, truth = texts(tmp_path)
    (tmp_path / "mine.py").write_text(USER)
    for name, outcome in (
        ("decode", {"exact_match": 0.0, "edit_similarity": 0.5, "CER": 0.6}),
        ("number", "number of '.*mine.py' returned a int, a str was expected"),
        ("broken", r"failed in '.*mine.py', line 11: KeyError"),
        ("absent", "has no callable 'absent'; it has decode, number, broken"),
    ):
        decoding = Decoding(f"{tmp_path}/mine.py:{name}")
        if isinstance(outcome, dict):
            found = figures(result, truth, "text_recognition", decoding=decoding)
            assert found == pytest.approx(outcome)
            said = capsys.readouterr().err
            assert said.count("mine.py") == 1, "it is said, once, before it runs"
            assert decoding.parameters(_task("text_recognition"))["postprocess"].endswith(":decode")
        else:
            with pytest.raises(InputError, match=outcome):
                figures(result, truth, "text_recognition", decoding=decoding)


def _task(name: str) -> Any:
    from portproof.metrics.tasks import load_task

    return load_task(name)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("kind: boxes\n", "makes predictions of the kind 'instances', and the task takes text"),
        ("kind: ctc\nsymbols: [a, b]\nshapes: [[-1, 4]]\n", "15 numbers, which do not make"),
        ("kind: ctc\nsymbols: [a, b]\nshapes: [[-1, 3], [2]]\n", "has 1 outputs, and 'shapes'"),
        ("kind: ctc\nsymbols: [a, b]\n", r"sample 'x': .* has the shape \(15,\)"),
        ("kind: boxs\n", "Invalid value 'boxs' .*kinds: boxes, label_map, ctc"),
        ("kind: ctc\nsymbols: [a]\nalphabt: x\n", "line 3: Object contains unknown field"),
        ("kind: ctc\n", "a file, or 'symbols', was expected"),
        ("kind: ctc\nalphabet: none.txt\n", "does not exist"),
        ("- 5\n", "Expected `object`"),
    ],
)
def test_records_that_do_not_fit_are_refused(tmp_path: Path, text: str, sentence: str) -> None:
    result, truth = texts(tmp_path)
    (tmp_path / "post.yaml").write_text(text)
    with pytest.raises(InputError, match=sentence):
        figures(result, truth, "text_recognition", decoding=Decoding(str(tmp_path / "post.yaml")))


def test_results_without_post_processing_are_refused(tmp_path: Path) -> None:
    result, truth = texts(tmp_path)
    with pytest.raises(InputError, match="need post-processing"):
        figures(result, truth, "text_recognition")


def test_classes_and_embeddings_need_none(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("a 1\nb 0\n")
    logits = {"a": [np.array([0, 1.0], np.float32)], "b": [np.array([0, 1.0], np.float32)]}
    result = results(tmp_path / "r", logits)
    assert figures(result, tmp_path / "labels.txt", "text_classification")["accuracy"] == 0.5
    (tmp_path / "who.txt").write_text("a 1\nb 1\nc 2\n")
    vectors = {n: [np.array([i, 1.0], np.float32)] for i, n in enumerate("abc")}
    result = results(tmp_path / "v", vectors)
    found = figures(result, tmp_path / "who.txt", "retrieval")
    assert found == {"mAP": 0.75, "rank1": 0.5, "rank5": 1.0}  # of b, c is as near as a


def test_nan_is_warned_of_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "labels.txt").write_text("a 1\nb 0\n")
    logits = {n: [np.array([0, np.nan], np.float32)] for n in "ab"}
    figures(results(tmp_path / "r", logits), tmp_path / "labels.txt", "text_classification")
    assert capsys.readouterr().err.count("holds NaN") == 1


def card_of(**changes: Any) -> Card:
    import msgspec
    import yaml

    return msgspec.convert(yaml.safe_load(CARD) | changes, Card)


def test_cards_of_tasks() -> None:
    card = card_of()
    assert (card.task, card.metric, card.margin) == ("semantic_segmentation", "mDice", 0.5)
    assert {"classification", "detection"} <= {"classification", *task_names()}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"task": "nope"}, "there is no task 'nope', there is .*classification.*detection"),
        ({"task": "classification"}, "are for tasks other than classification"),
        ({"postprocess": {"kind": "ctc"}}, "a file, or 'symbols', was expected"),
        ({"postprocess": 5}, "Expected"),
        ({"margin": 0}, "Expected `float` > 0"),
        ({"metric": ""}, "length >= 1"),
    ],
)
def test_cards_that_contradict_themselves_are_refused(
    changes: dict[str, Any], sentence: str
) -> None:
    import msgspec

    with pytest.raises(msgspec.ValidationError, match=sentence):
        card_of(**changes)


def test_a_card_may_name_files_of_its_folder_only(tmp_path: Path) -> None:
    result, truth = texts(tmp_path)
    folder = tmp_path / "card"
    folder.mkdir()
    (tmp_path / "mine.py").write_text(USER)
    named = CARD.replace("semantic_segmentation", "text_recognition").replace("mDice", "CER")
    (folder / "card.yaml").write_text(
        named.replace("{kind: label_map}", "../mine.py:decode").replace("[4, 32, 48]", "[5, 3]")
    )
    card = read_card(folder / "card.yaml")
    with pytest.raises(InputError, match="names code outside its own folder"):
        figures(result, truth, "text_recognition", decoding=Decoding(card=card))


def test_an_unknown_kind_in_a_card_is_told_the_kinds(tmp_path: Path) -> None:
    (tmp_path / "card.yaml").write_text(CARD.replace("label_map", "labelmap"))
    with pytest.raises(InputError, match=r"line 8: .*postprocess\.kind.*kinds: boxes, label_map"):
        read_card(tmp_path / "card.yaml")
