"""A mistake of preprocessing that was made with some of the images only: by one of several workers,
or in a last batch.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from portproof.metrics.diagnosis.candidates import NEXT_TO_NOTHING, Found, score_of
from portproof.metrics.diagnosis.defects import place_of
from portproof.metrics.diagnosis.likeness import unlikeness
from portproof.metrics.diagnosis.preprocessing import Preprocessing
from portproof.preprocess.mistakes.usual import usual_mistakes

#: Images that were prepared otherwise differ from the reference by so many times what this share
#: of all does at most, and by more than arithmetic in another order.
_CLEARLY, _SOUND, _MOVED = 20.0, 0.05, 1e-6
#: Mistakes are tried on so few of them; one explains at least this share of them.
_FEW, _MOST = 3, 0.8


def made_in_part(tries: Preprocessing) -> list[Found]:
    """The usual mistake that explains the images which differ, where the others do not."""
    before = unlikeness(tries.port, tries.plain)
    moved = before > max(_MOVED, _CLEARLY * float(np.quantile(before, _SOUND)))
    at = np.flatnonzero(moved)
    # It is looked for first of all, not behind another mistake.
    if tries.state.mistake or min(len(at), len(moved) - len(at)) < _FEW:
        return []
    few = at[np.argsort(-before[at], kind="stable")[:_FEW]]
    usual = [m for m in usual_mistakes(tries.model.recipe) if m.fault is not None]
    tried = [(f.left or 0.0, mistake) for mistake in usual for f in tries.of(mistake, few)]
    least, mistake = min(tried, key=lambda t: t[0])
    if least > NEXT_TO_NOTHING:
        return []
    explained, left = np.zeros_like(moved), before.copy()
    for made in tries.made(mistake, at):
        left[at] = np.minimum(before[at], unlikeness(tries.port[at], made.answers))
        explained[at] = left[at] <= NEXT_TO_NOTHING * before[at]
    if explained.sum() < _MOST * len(at):
        return []
    place = place_of(tries.state.compared.ids, explained)
    said = (
        f"differs by {left.mean():.2g} if it does so in {explained.sum()} of {len(moved)} samples"
        f" ({place})"
    )
    share = float(left.mean()) / float(before.mean())
    found = tries.found_as(mistake, said, score_of(left), share)
    return [replace(found, mistake=None, explained=explained)]
