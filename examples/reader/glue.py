"""From the boxes of the detector to the strips of the recogniser, and from these to a line."""

from __future__ import annotations

from typing import Any

import numpy as np

#: A box is taken for a digit over this score.
SCORE = 0.5
#: A strip as the recogniser was trained on, in pixels, and a digit's height and place in it.
HEIGHT, WIDTH, DIGIT, LEFT, TOP = 32, 160, 24, 5, 4
LONGEST = 12


def boxes(given: Any) -> list[list[float]]:
    """The boxes (x, y, width, height) in pixels of the image, from left to right."""
    found = given.decoded("detector")
    kept = sorted(found.boxes[found.scores > SCORE].tolist())
    return kept[:LONGEST]


def crops(given: Any) -> list[dict[str, Any]]:
    """A strip for each box: the digit at its left, the rest in the colour around it."""
    from PIL import Image

    image = Image.open(given.image).convert("RGB")
    strips = []
    for x, y, width, height in boxes(given):
        side = max(width, height, 4.0) * 1.1
        left, top = x + width / 2 - side / 2, y + height / 2 - side / 2
        area = (left, top, left + side, top + side)
        digit = image.transform(
            (DIGIT, DIGIT), Image.Transform.EXTENT, area, Image.Resampling.BILINEAR
        )
        strips.append({"image": _strip(np.asarray(digit, np.float32))})
    return strips


def _strip(digit: Any) -> Any:
    """(3, 16, 80) as the recogniser's recipe makes it."""
    from PIL import Image

    edge = np.concatenate([digit[0], digit[-1], digit[:, 0], digit[:, -1]])
    strip = np.broadcast_to(np.median(edge, axis=0), (HEIGHT, WIDTH, 3)).copy()
    strip[TOP : TOP + DIGIT, LEFT : LEFT + DIGIT] = digit
    small = Image.fromarray(np.uint8(np.round(strip))).resize((80, 16), Image.Resampling.BILINEAR)
    return (np.asarray(small, np.float32).transpose(2, 0, 1) / 255 - 0.5) / 0.5


def line(given: Any) -> dict[str, Any]:
    """The digits of a canvas from left to right: 1 + the digit, then 0."""
    digits = [read(answer["steps"]) for answer in given.each("recogniser")]
    flat = [digit for each in digits for digit in each][:LONGEST]
    return {"digits": np.array(flat + [0] * (LONGEST - len(flat)), np.int64)}


def read(steps: Any) -> list[int]:
    """CTC's best path: repeats are one, and 0 is the blank (Graves et al. 2006)."""
    best = steps.argmax(-1)
    changed = np.append(True, best[1:] != best[:-1])
    return [int(symbol) for symbol in best[changed] if symbol]
