"""Ground truth in the usual files, and files that are damaged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from portproof.core.errors import InputError
from portproof.metrics.truth import Truth
from portproof.metrics.truth.class_lines import read_classes
from portproof.metrics.truth.identities import Who, read_identities
from portproof.metrics.truth.pixel_files import read_masks, read_picture, read_pictures
from portproof.metrics.truth.questions import read_questions
from portproof.metrics.truth.sentences import read_sentences
from portproof.metrics.truth.text_regions import read_regions, regions_in
from portproof.metrics.truth.token_ids import read_token_ids
from portproof.metrics.truth.transcripts import read_references, read_transcripts

Image = pytest.importorskip("PIL.Image")


def lines(*entries: Any) -> str:
    return "".join(json.dumps(entry) + "\n" for entry in entries)


@pytest.mark.parametrize(
    "text",
    [
        "a.wav the cat\nb.wav\n",
        "a.wav\tthe cat\nb.wav\t\n",
        "\ufeffa the cat\r\n\r\nb\r\n",
        lines({"id": "a", "text": "the cat"}, {"audio_filepath": "x/b.wav", "text": ""}),
        json.dumps([{"id": "a", "text": "the cat"}, {"id": "b", "text": ""}]),
    ],
)
def test_transcripts(tmp_path: Path, text: str) -> None:
    path = tmp_path / ("t.jsonl" if text[0] in "[{" else "t.txt")
    path.write_text(text, encoding="utf-8")
    assert dict(read_transcripts(path).samples) == {"a": "the cat", "b": ""}


def test_transcripts_with_tabs_may_have_blanks_in_names_and_quotes(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text('my word.png\tsay "x", y\n')
    assert dict(read_transcripts(path).samples) == {"my word": 'say "x", y'}
    path.write_text('word_1.png, "JOINT"\nword_2.png, "say \\"x\\", y"\n')
    assert dict(read_transcripts(path).samples) == {"word_1": "JOINT", "word_2": 'say "x", y'}


def test_references(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(lines({"id": 7, "references": ["a", "b"]}, {"id": "x", "text": "c"}))
    assert dict(read_references(path).samples) == {"7": ("a", "b"), "x": ("c",)}


def test_classes(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text("a.txt 3\nb.txt 0\n")
    assert dict(read_classes(path).samples) == {"a": 3, "b": 0}
    path = tmp_path / "t.jsonl"
    path.write_text(lines({"id": "a", "label": "pos"}, {"id": "b", "label": "neg"}))
    truth = read_classes(path)
    assert dict(truth.samples) == {"a": 1, "b": 0} and truth.facts["names"] == {"neg": 0, "pos": 1}


def test_sentences(tmp_path: Path) -> None:
    path = tmp_path / "t.conll"
    path.write_text(
        "-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\n# id = x\nJo B-PER\n"
    )
    found = read_sentences(path).samples
    assert [(k, v.words, v.tags) for k, v in found.items()] == [
        ("0", ("EU", "rejects"), ("B-ORG", "O")),
        ("x", ("Jo",), ("B-PER",)),
    ]
    path = tmp_path / "t.jsonl"
    path.write_text(lines({"id": "a", "words": ["x"], "tags": ["O"], "positions": [1]}))
    truth = read_sentences(path).samples["a"]
    assert truth.positions == (1,) and truth.given().tags == ()


def test_questions(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    squad = {
        "data": [
            {
                "paragraphs": [
                    {
                        "context": "abc",
                        "qas": [
                            {"id": "q1", "answers": [{"text": "a"}, {"text": "ab"}]},
                            {"id": "q2", "answers": [], "is_impossible": True},
                        ],
                    }
                ]
            }
        ]
    }
    path.write_text(json.dumps(squad))
    found = read_questions(path).samples
    assert found["q1"].answers == ("a", "ab") and found["q2"].answers == ()
    assert found["q1"].given().answers == () and found["q1"].given().context == "abc"
    path.write_text(
        lines({"id": "q", "answers": ["a"], "context": "abc", "offsets": [None, [0, 1]]})
    )
    assert read_questions(path).samples["q"].offsets == (None, (0, 1))


def test_identities(tmp_path: Path) -> None:
    (tmp_path / "query.txt").write_text("a.jpg 1 c1\n")
    (tmp_path / "gallery.txt").write_text("b.jpg 1 c2\nc.jpg 2\n")
    truth = read_identities(tmp_path)
    assert dict(truth.samples) == {"a": Who("1", "c1")}
    assert truth.facts["gallery"] == {"b": Who("1", "c2"), "c": Who("2")}
    one = read_identities(tmp_path / "gallery.txt")
    assert dict(one.samples) == one.facts["gallery"]


def test_token_ids(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(lines({"id": "a", "tokens": [5, -100, 7]}))
    assert read_token_ids(path).samples["a"].tolist() == [5, -100, 7]


def test_masks_and_pictures(tmp_path: Path) -> None:
    ids = np.arange(12, dtype=np.uint8).reshape(3, 4)
    Image.fromarray(ids).save(tmp_path / "a.png")
    palette = Image.fromarray(ids)
    palette.putpalette(list(range(256)) * 3)
    palette.save(tmp_path / "b.png")
    Image.fromarray(ids.astype(np.uint16) * 300).save(tmp_path / "c.png")
    (tmp_path / "notes.txt").write_text("not a mask")
    truth = read_masks(tmp_path)
    assert list(truth.samples) == ["a", "b", "c"] and truth.size("a") == (3, 4)
    assert np.array_equal(truth.samples["a"].ids, ids) and truth.samples["a"].ignore == 255
    assert np.array_equal(truth.samples["b"].ids, ids)
    assert np.array_equal(truth.samples["c"].ids, ids.astype(int) * 300)
    (tmp_path / "truth.yaml").write_text("ignore: null\nclasses: [road, car]\n")
    assert (
        read_masks(tmp_path).samples["a"].ignore,
        read_masks(tmp_path).samples["a"].classes,
    ) == (
        -1,
        2,
    )
    grey = read_pictures(tmp_path)
    assert grey.samples["a"].shape == (3, 4, 1)
    Image.fromarray(np.dstack([ids] * 3)).save(tmp_path / "d.jpg")
    assert read_picture(tmp_path / "d.jpg").shape == (3, 4, 3)


def test_text_regions(tmp_path: Path) -> None:
    folder = tmp_path / "gt"
    folder.mkdir()
    (folder / "gt_img_1.txt").write_text(
        "\ufeff0,0,4,0,4,2,0,2,SALE, now\n0,0,4,0,4,2,0,2,###\n", encoding="utf-8"
    )
    (folder / "gt_img_2.txt").write_text('1, 2, 11, 22, "Tiredness"\n')
    (folder / "gt_img_3.txt").write_text("0,0,1,0,2,0,2,2,0,2,99\n")
    (folder / "gt_img_4.txt").write_text("")
    found = read_regions(folder).samples
    assert list(found) == ["img_1", "img_2", "img_3", "img_4"]
    assert found["img_1"].ignored == (False, True)
    assert found["img_1"].polygons[0].tolist() == [[0, 0], [4, 0], [4, 2], [0, 2]]
    assert found["img_2"].polygons[0].tolist() == [[1, 2], [11, 2], [11, 22], [1, 22]]
    assert len(found["img_3"].polygons[0]) == 5 and found["img_4"].polygons == ()
    paddle = tmp_path / "det.txt"
    paddle.write_text(
        'a/b.jpg\t[{"transcription": "###", "points": [[0, 0], [1, 0], [1, 1]]}]\nc.jpg\t[]\n'
    )
    regions = read_regions(paddle).samples
    assert regions["b"].ignored == (True,) and regions["c"].polygons == ()
    (tmp_path / "res").mkdir()
    (tmp_path / "res" / "res_img_1.txt").write_text("0,0,4,0,4,2,0,2\n0,0,4,0,4,2,0,2,0.9\n")
    said = regions_in(tmp_path / "res", "predictions", has_text=False)["img_1"]
    assert [p.shape for p in said.polygons] == [(4, 2), (4, 2)]


READERS: list[tuple[Callable[[Path], Truth], str, list[tuple[str, str]]]] = [
    (
        read_transcripts,
        "t.txt",
        [
            ("", "are empty"),
            ("a.wav x\na.mp3 y\n", "more than one line"),
            (".x y", "no sample id"),
            ("a\tx\nb y\n", "line 2"),
        ],
    ),
    (
        read_transcripts,
        "t.json",
        [
            ("{", "not JSON"),
            ("[]", "no entry"),
            ("[3]", "entry 1: a JSON object"),
            ("", "no entry"),
        ],
    ),
    (
        read_transcripts,
        "t.jsonl",
        [
            (lines({"text": "x"}), "'id' with the sample's name is missing"),
            (lines({"id": "a"}), "'text' with a text is missing"),
            (lines({"id": "a", "text": 5}), "'text' with a text is missing"),
            (lines({"id": True, "text": "x"}), "'id' with the sample's name is missing"),
            (lines({"id": "a", "text": "x"}, {"id": "a", "text": "y"}), "is there twice"),
            ("[" * 100000, "not JSON"),
        ],
    ),
    (read_references, "t.jsonl", [(lines({"id": "a", "references": []}), "as a list, is missing")]),
    (
        read_classes,
        "t.jsonl",
        [
            (lines({"id": "a", "label": 1}, {"id": "b", "label": "x"}), "use one of them"),
            (lines({"id": "a", "label": 1.5}), "'label' with a number or a name"),
        ],
    ),
    (read_classes, "t.txt", [("a x\n", "with a class counted from 0")]),
    (
        read_sentences,
        "t.conll",
        [("alone\n", "line 1: a word and its tag"), ("\n\n", "are empty")],
    ),
    (
        read_sentences,
        "t.json",
        [
            (lines({"id": "a", "words": ["x"], "tags": []}), "as many texts each"),
            (lines({"id": "a", "words": ["x"], "tags": ["O"], "positions": [-1]}), "'positions'"),
        ],
    ),
    (
        read_questions,
        "t.json",
        [
            ('{"data": 5}', "SQuAD's JSON"),
            ('{"data": [{"paragraphs": [{"qas": [{"id": 4}]}]}]}', "SQuAD's JSON"),
            ('{"data": []}', "holds no question"),
            (lines({"id": "q", "answers": "a"}), "'answers' with a list of texts"),
            (lines({"id": "q", "answers": [], "offsets": [[0, 5]]}), "'offsets' with"),
        ],
    ),
    (
        read_identities,
        "t.txt",
        [("a\n", "line 1"), ("", "are empty"), ("a 1\na.jpg 2\n", "more than one line")],
    ),
    (
        read_token_ids,
        "t.jsonl",
        [
            (lines({"id": "a", "tokens": []}), "'tokens' with a list of ids"),
            (lines({"id": "a", "tokens": [1.5]}), "'tokens' with a list of ids"),
            (lines({"id": "a", "tokens": [1 << 70]}), "'tokens' with a list of ids"),
        ],
    ),
    (
        read_regions,
        "t.txt",
        [
            ("a.jpg\t[{}]\n", "'<image><tab>"),
            ("a.jpg\n", "'<image><tab>"),
            ('a.jpg\t[{"points": [[0, 0], [1, 1]]}]\n', "'<image><tab>"),
            ('a.jpg\t[{"points": "xyz"}]\n', "'<image><tab>"),
            ("", "are empty"),
        ],
    ),
]


@pytest.mark.parametrize(
    ("read", "name", "text", "sentence"),
    [(read, name, *case) for read, name, cases in READERS for case in cases],
)
def test_files_of_another_form_are_refused(
    tmp_path: Path, read: Callable[[Path], Truth], name: str, text: str, sentence: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=sentence):
        list(read(tmp_path / name).samples.values())


@pytest.mark.parametrize("read", [read_masks, read_pictures])
def test_images_that_are_not_whole_are_refused(
    tmp_path: Path, read: Callable[[Path], Truth]
) -> None:
    with pytest.raises(InputError, match=r"holds no \.png"):
        read(tmp_path)
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 40)
    with pytest.raises(InputError, match="is no whole image"):
        list(read(tmp_path).samples.values())
    noise = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:2000])
    with pytest.raises(InputError, match="is no whole image"):
        list(read(tmp_path).samples.values())


def test_a_mask_in_colours_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="class ids in one channel"):
        list(read_masks(tmp_path).samples.values())


@pytest.mark.parametrize("row", ["1,2,3", "a,b,c,d,text", "0,0,nan,0,1,1,0,1,x", "text"])
def test_lines_of_regions_without_points_are_refused(tmp_path: Path, row: str) -> None:
    (tmp_path / "gt_a.txt").write_text(row + "\n")
    with pytest.raises(InputError, match="line 1: 'x1,y1,x2,y2,x3,y3,x4,y4'"):
        list(read_regions(tmp_path).samples.values())
