"""Texts and recordings become one file an input, with a list and a sidecar, or one sentence."""

from __future__ import annotations

import json
import wave
from pathlib import Path

import numpy as np
import pytest

from portproof.card import Card, read_card
from portproof.core.errors import InputError
from portproof.manifest import read_info
from portproof.preprocess.dataset.sequence_files import encode_files
from portproof.proof.sidecar import proof_of

TEXT = """name: t
builder: net.py:build
inputs: [{name: ids, shape: [6], dtype: int32}, {name: mask, shape: [6], dtype: int64}]
outputs: [{name: y, shape: [2]}]
sequence: {kind: tokens, vocabulary: v.txt, length: 6, algorithm: words}
"""
SOUND = """name: s
builder: net.py:build
inputs: [{name: wave, shape: [1, 4]}, {name: length, shape: [1], dtype: int64}]
outputs: [{name: y, shape: [2]}]
sequence: {kind: waveform, rate: 8000, length: 4, parts: [wave, length]}
"""


def card(folder: Path, text: str) -> Card:
    (folder / "v.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\nred\nblue\n")
    (folder / "c.yaml").write_text(text)
    return read_card(folder / "c.yaml")


def encode(folder: Path, given: Path, text: str = TEXT) -> list[list[int]]:
    info = folder / "prep.info"
    encode_files(given, card(folder, text), folder / "prep", info)
    inputs = card(folder, text).inputs
    return [
        [np.fromfile(f, spec.dtype).tolist() for f, spec in zip(s.files, inputs, strict=True)]
        for s in read_info(info)
    ]


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("t.tsv", "a\tred blue\nb\tgreen\n"),
        ("t.jsonl", '{"id": "a", "text": "red blue"}\n\n{"id": "b", "text": "green"}\n'),
    ],
)
def test_lines_of_texts(tmp_path, name, lines) -> None:
    (tmp_path / name).write_text(lines)
    assert encode(tmp_path, tmp_path / name) == [
        [[2, 4, 5, 3, 0, 0], [1, 1, 1, 1, 0, 0]],
        [[2, 1, 3, 0, 0, 0], [1, 1, 1, 0, 0, 0]],
    ]
    proof = proof_of(tmp_path / "prep")
    assert proof and proof.facts == {"samples": 2, "cut": []}
    assert {Path(r.path).name for r in proof.inputs["vocabulary"]} == {"v.txt"}


def test_a_folder_of_recordings(tmp_path) -> None:
    folder = tmp_path / "wav"
    folder.mkdir()
    with wave.open(str(folder / "a.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(np.array([16384, -32768], "<i2").tobytes())
    assert encode(tmp_path, folder, SOUND) == [[[0.5, -1.0, 0.0, 0.0], [2]]]


def test_what_was_cut_is_said(tmp_path) -> None:
    (tmp_path / "t.tsv").write_text("a\tred red red red red\n")
    encode(tmp_path, tmp_path / "t.tsv")
    proof = proof_of(tmp_path / "prep")
    assert proof and proof.facts["cut"] == ["a"]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("t.tsv", "a red\n", "line 1: '<name><tab><text>'"),
        ("t.tsv", "\n \n", "holds no text"),
        ("t.tsv", "a\tx\na.b\ty\n", "more than one"),
        ("t.tsv", "a b\tx\n", "blanks"),
        ("t.jsonl", "[]\n", "line 1: an object"),
        ("t.jsonl", '{"id": "a", "text": 3}\n', "line 1: an object"),
        ("t.jsonl", "{" * 500 + "\n", "line 1"),
        ("t.csv", "a,b\n", "was expected"),
    ],
)
def test_a_file_of_another_form_has_its_sentence(tmp_path, name, content, reason) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=reason):
        encode(tmp_path, tmp_path / name)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("length: 6", "length: 7"), "'ids' has the shape"),
        (("length: 6,", "length: 6, parts: [ids],"), "there are 1"),
        (("length: 6,", "length: 6, parts: [ids, ids],"), "each at most once"),
        (("length: 6,", "length: 4,"), "no room"),
        (("sequence:", "recipe: resnet\nsequence:"), "a model has one of them"),
    ],
)
def test_a_card_that_cannot_be_is_refused(tmp_path, change, reason) -> None:
    with pytest.raises(InputError, match=reason):
        card(tmp_path, TEXT.replace(*change))


def test_a_card_without_a_sequence_is_refused(tmp_path) -> None:
    (tmp_path / "t.jsonl").write_text(json.dumps({"id": "a", "text": "x"}))
    plain = "".join(line for line in TEXT.splitlines(True) if "sequence" not in line)
    with pytest.raises(InputError, match="has no 'sequence'"):
        encode(tmp_path, tmp_path / "t.jsonl", plain)
