"""What msame and ais_bench print of a model when they are asked to (``--debug``): all that there is
to know of a model without a sidecar.

Source: ``PrintDesc`` of both (Ascend/tools), whose lines are the same::

    [DEBUG] the size of 0 input: 602112
    [DEBUG] the dims of 0 input:
    1 3 224 224
    [DEBUG] the name of 0 input: image
    [DEBUG] the DataType of 0 input: 0
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from portproof.backend import TensorSpec
from portproof.convert.ascend.om_facts import Gears, OmFacts, check_batch
from portproof.core.errors import InputError
from portproof.infer.runtimes.acl_dtypes import DTYPES
from portproof.infer.vendor import ToolJob

_LINE = re.compile(
    r"\[DEBUG\] the (size|dims|name|DataType) of (\d{1,4}) (input|output):[ \t]*(.*)"
)
_DIMS = re.compile(r"-?\d+(?: -?\d+)*")


def described(log: Path) -> OmFacts | None:
    """The model's inputs and outputs as the tool printed them; None if it did not, or not whole."""
    lines = iter(log.read_text(encoding="utf-8", errors="replace").splitlines())
    found: dict[str, dict[int, dict[str, str]]] = {"input": {}, "output": {}}
    kind: Gears | None = None
    for line in lines:
        kind = "batch" if "[DEBUG] DynamicBatch:" in line else kind
        kind = "hw" if "[DEBUG] DynamicHW:" in line else kind
        if not (match := _LINE.search(line)):
            continue
        what, number, side, text = match.groups()
        value = text.strip() or (next(lines, "") if what == "dims" else "")
        found[side].setdefault(int(number), {})[what] = value.strip()
    try:
        inputs, outputs = (
            tuple(_spec(one) for _, one in sorted(found[side].items()))
            for side in ("input", "output")
        )
    except (KeyError, ValueError):
        return None
    if not inputs or not outputs:
        return None
    is_open = any(None in spec.shape for spec in inputs)
    if kind is None and not is_open:
        return OmFacts(gears="static", inputs=inputs, outputs=outputs)
    # Its outputs are those of the largest choice.
    return OmFacts(gears=kind or "dims", inputs=inputs, outputs=None)


def is_known(job: ToolJob) -> bool:
    """Whether a sidecar says what the model takes, or the caller does who chooses its shape."""
    return bool(job.facts and job.facts.inputs) or "--dymShape" in job.gear


def check_described(job: ToolJob, facts: OmFacts) -> None:
    """:class:`InputError` if the model, as its tool describes it, is of another batch than the one
    asked for, or has dimensions that nobody chose.
    """
    if facts.gears == "static":
        check_batch(job.model, facts, job.batch)
    elif not job.gear:
        raise InputError(
            f"'{job.model}' was converted with a choice of what it takes: choose with --option"
            " batch=N, hw=HEIGHT,WIDTH, dims=NAME:D,D,... or shape=NAME:D,D,..."
        )


def _spec(one: Mapping[str, str]) -> TensorSpec:
    if not _DIMS.fullmatch(one["dims"]):
        raise ValueError(one["dims"])
    shape = tuple(None if int(d) < 0 else int(d) for d in one["dims"].split())
    return TensorSpec(one["name"], DTYPES[int(one["DataType"])], shape)
