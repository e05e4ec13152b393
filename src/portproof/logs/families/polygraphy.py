"""``polygraphy run`` (NVIDIA): the mean time of a runner's inference.

The runner's clock encloses one ``infer``, host inputs to host outputs: ``call``. No rate is
printed: it is derived from the mean. Without ``--iterations`` there is one inference, and without
``--warm-up`` it is the first one, so it is no measurement of speed; the log says how many there
were. A run that polygraphy calls FAILED (outputs that differ, or are not finite) has no speed.

Samples: ika-rwth-aachen/ros2-depth-anything-v3-trt issue 8, and the examples of tools/Polygraphy
in NVIDIA/TensorRT.
"""

from __future__ import annotations

import re

from portproof.logs.lines import NUMBER, Line, finite
from portproof.logs.logged import CALL, Figure, Run

FAMILY = "polygraphy"
MARKS = (
    "Inference Input(s)",
    "Inference Output(s)",
    "[dtype=",
    "warm-up run(s)",
    "Average inference time",
    "FAILED |",
)

_DONE = re.compile(
    rf"(?:\[I\] )?(\S{{1,80}})\s+\| Completed (\d{{1,9}}) iteration\(s\) in ({NUMBER}) (ms|s)"
    rf" \| Average inference time: ({NUMBER}) (ms|s)\b"
)
_WARM = re.compile(r"Finished (\d{1,9}) warm-up run")
_SHAPE = re.compile(r"\[dtype=(\w{1,20}), shape=\((\d{1,9})((?:, ?\d{1,9}){0,7}),?\)\]")
_FEW = 10


class Reader:
    """A runner's inputs, its warm-up and its result, one run each."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.found: list[Run] = []
        self.inputs: list[tuple[str, int, int]] = []
        self.of_inputs = False
        self.warm_up = 0

    def feed(self, line: Line) -> None:
        """Take one line."""
        if "Inference Input(s)" in line.text:
            self.of_inputs, self.inputs = True, []
        elif "Inference Output(s)" in line.text:
            self.of_inputs = False
        if self.of_inputs:
            for dtype, first, rest in _SHAPE.findall(line.text):
                self.inputs.append((dtype, int(first), 1 + rest.count(",")))
        if warm := _WARM.search(line.text):
            self.warm_up = int(warm[1])
        if (done := _DONE.search(line.text)) and not line.cut:
            self._done(line.number, done)
        if "FAILED |" in line.text:
            self._failed(line)

    def _done(self, line: int, match: re.Match[str]) -> None:
        count, total, mean = int(match[2]), finite(match[3]), finite(match[5])
        if not count or not total or not mean:
            return
        mean *= 1e-3 if match[6] == "ms" else 1
        run = Run(self.source, FAMILY, line, status="ok")
        run.batch, run.batch_source = self._batch(run)
        run.facts |= {"label": match[1], "warm_up": self.warm_up}
        self.warm_up, self.inputs = 0, []
        run.figures = [
            Figure("latency_mean", mean, "s", CALL, "infer", "device", line),
            Figure("samples", count, "1", CALL, "infer", None, line, note="timed inferences"),
            *_rates(run.batch, mean, line),
        ]
        if count < _FEW or not run.facts["warm_up"]:
            run.warnings.append(
                f"{count} timed after {run.facts['warm_up']} warm-up inferences: give --iterations"
                " and --warm-up for a speed"
            )
        self.found.append(run)

    def _batch(self, run: Run) -> tuple[int | None, str | None]:
        """The first dimension of all inputs. Inputs of whole numbers in two dimensions may be words
        by samples, or samples by words.
        """
        first = {size for _, size, _ in self.inputs}
        if len(first) != 1:
            return None, None
        words = all(dtype.startswith("int") and rank == 2 for dtype, _, rank in self.inputs)
        if words and first != {1}:
            run.warnings.append(
                f"the inputs are 2-d whole numbers that begin with {min(first)}: a batch, or a"
                " length of sequences; the batch is not known"
            )
            return None, None
        return first.pop() or None, "input shapes"

    def _failed(self, line: Line) -> None:
        """A failure stands below the runs that it is of."""
        for run in self.found:
            if run.status == "ok":
                run.status, run.figures = "failed", []
                run.warnings.append(f"polygraphy says: {line.text.strip()[:160]}")

    def runs(self) -> list[Run]:
        """The runs found."""
        return self.found


def _rates(batch: int | None, mean: float, line: int) -> list[Figure]:
    """Batches a second, and images where the batch is known."""
    how = f"1 / {mean:.7g} s"
    place = (CALL, "infer", "device", line)
    rates = [Figure("throughput", 1 / mean, "batches/s", *place, derived=how)]
    if batch:
        how = f"{batch} / {mean:.7g} s"
        rates.append(Figure("throughput", batch / mean, "images/s", *place, derived=how))
    return rates
