"""Cards of several models: what feeds what, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from portproof.card import read_card
from portproof.core.errors import InputError
from portproof.rundir.examples import example_card
from portproof.rundir.parts.part_card import card_of_part, part_card

CARD = """\
name: pair
parts:
  - {name: encoder, model: encoder.yaml}
  - {name: decoder, model: decoder.yaml, feeds: {memory: encoder.memory}}
outputs: [{name: text, shape: [4]}]
gather: {text: decoder.scores}
task: text_recognition
"""


def test_the_examples_are_read() -> None:
    dates = read_card(example_card("dates"))
    assert [part.name for part in dates.parts] == ["encoder", "decoder"]
    assert dates.parts[1].own_inputs == ("symbols",)
    assert dates.parts[1].weights_file == "decoder.pth"
    reader = read_card(example_card("reader"))
    assert [card_of_part(reader, part).name for part in reader.parts] == ["detector", "recogniser"]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (", feeds: {memory: encoder.memory}", "", "comes after 'encoder'"),
        ("encoder.yaml}", "encoder.yaml, feeds: {a: b.c}}", "fed with the data, so it has none"),
        ("memory: encoder.memory", "memory: later.memory", "which is of no part before"),
        ("memory: encoder.memory", "memory: memory", "PART.NAME was expected"),
        ("{memory: encoder.memory}}", "glue}", "FILE.py:NAME was expected"),
        ("name: decoder", "name: encoder", "two parts are named 'encoder'"),
        ("encoder.memory}", "encoder.memory, y: decoder.y}", "without a loop none"),
        ("encoder.memory}", "encoder.memory}, loop: loop.py:greedy", "feeds one input at least"),
        ("decoder.scores", "other.scores", "the parts are encoder, decoder"),
        ("gather: {text: decoder.scores}", "", "`gather` is missing"),
        ("{text: decoder", "{other: decoder", "those of 'outputs'"),
        ("text_recognition", "classification", "other than classification"),
        ("name: pair", "name: pair\nbuilder: timm:resnet18", "its parts' own"),
        ("name: pair", "name: pair\nrecipe: inception", "its parts' own"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    assert old in CARD
    path = tmp_path / "card.yaml"
    path.write_text(CARD.replace(old, new, 1))
    with pytest.raises(InputError) as caught:
        read_card(path)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("field", ["builder", "inputs"])
def test_one_model_still_needs_what_it_needs(tmp_path: Path, field: str) -> None:
    lines = ["name: one", "builder: timm:x", "inputs: [{name: i, shape: [2]}]"]
    lines += ["outputs: [{name: o}]"]
    path = tmp_path / "card.yaml"
    path.write_text("\n".join(line for line in lines if not line.startswith(field)))
    with pytest.raises(InputError, match=f"`{field}` is missing"):
        read_card(path)


def test_a_part_outside_the_cards_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    path = tmp_path / "own/card.yaml"
    path.write_text(CARD.replace("encoder.yaml", "../encoder.yaml"))
    card = read_card(path)
    with pytest.raises(InputError, match="outside its own folder"):
        part_card(card, card.parts[0])
