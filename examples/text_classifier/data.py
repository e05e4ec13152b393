"""Write sentences about four topics, made of words that the topics have and words that all have.

A sentence also has words of another topic, and some words are misspelled, so that it is not always
plain what it is about. No sentence is in both parts.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

EXAMPLES = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[0] = os.path.join(os.path.dirname(EXAMPLES), "src")
sys.path.insert(1, EXAMPLES)

import numpy as np
from parts.making import data_command

from portproof.core.files import write_text

SIZES = {"train": 3000, "val": 800}
TOPICS = (
    "rain storm sunny cloud wind snow frost thunder degrees forecast humid breeze fog hail",
    "match goal team league player score coach stadium final referee season striker medal race",
    "recipe bread soup cheese kitchen roasted pepper sugar dinner garlic baked salad lemon taste",
    "flight hotel luggage ticket border island museum harbour passport journey tour guide map",
)
COMMON = (
    "the a of and in on with for we they it was is will be new long short today tomorrow again"
    " after before about more most every first last people city day week time place"
)
MISSPELLED = 0.08


def write(out: Path, part: str, count: int, rng: np.random.Generator) -> list[Path]:
    """The sentences of a part and their topics."""
    texts, labels, seen = list[str](), list[str](), set[str]()
    while len(texts) < count:
        topic = int(rng.integers(len(TOPICS)))
        sentence = _sentence(rng, topic)
        # Which part a sentence may be in is its own matter, so that the parts share none.
        if sentence in seen or (sum(map(ord, sentence)) % 5 == 0) != (part == "val"):
            continue
        seen.add(sentence)
        name = f"text_{part}_{len(texts):05d}"
        texts.append(f"{name}\t{sentence}\n")
        labels.append(f"{name} {topic}\n")
    files = [out / f"{part}.tsv", out / f"{part}_label.txt"]
    for path, lines in zip(files, (texts, labels), strict=True):
        write_text(path, "".join(lines))
    return files


def _sentence(rng: np.random.Generator, topic: int) -> str:
    own, common = TOPICS[topic].split(), COMMON.split()
    other = TOPICS[(topic + int(rng.integers(1, len(TOPICS)))) % len(TOPICS)].split()
    words = [str(w) for w in rng.choice(own, int(rng.integers(1, 4)))]
    words += [str(w) for w in rng.choice(other, int(rng.integers(0, 2)))]
    words += [str(w) for w in rng.choice(common, int(rng.integers(3, 9)))]
    rng.shuffle(words)
    text = " ".join(_misspelled(rng, word) for word in words)
    return f"{text[0].upper()}{text[1:]}."


def _misspelled(rng: np.random.Generator, word: str) -> str:
    if rng.random() > MISSPELLED or len(word) == 1:
        return word
    at = int(rng.integers(len(word)))
    return word[:at] + word[at + 1 :]


if __name__ == "__main__":
    data_command("Write sentences about four topics.", SIZES, write, __file__)
