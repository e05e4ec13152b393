"""The simulated ``benchmark.x86_64``: info list in, ``result/dumpOutput_device<D>`` and a perf file
out, or ``-round`` for pure inference.

The real tool is closed; its flags, files and figures are those that published logs and scripts
show. What it prints on failure is not known, so failures print lines of the simulator's own.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from portproof.rehearsal import MARK, has_fault
from portproof.rehearsal.programs.tool import SimulatedChip, ToolFailed, run_tool
from portproof.rehearsal.programs.tool import significant as g

_FLAGS = (
    "batch_size",
    "om_path",
    "device_id",
    "model_type",
    "input_text_path",
    "useDvpp",
    "input_width",
    "input_height",
    "output_binary",
    "round",
)


def flags() -> dict[str, str]:
    """``-k=v`` of the command line."""
    found = {}
    for word in sys.argv[1:]:
        name, equals, value = word.lstrip("-").partition("=")
        if not word.startswith("-") or not equals or name not in _FLAGS:
            raise ToolFailed(f"[{MARK}] unknown argument {word}")
        found[name] = value
    return found


def main() -> int:
    """Run the tool."""
    given = flags()
    chip = SimulatedChip(given.get("om_path", ""), int(given.get("device_id", "0")))
    batch = int(given.get("batch_size", "1"))
    if batch != chip.batch:
        raise ToolFailed(
            f"[ERROR] [{MARK}] -batch_size={batch} is not the batch of the model, {chip.batch}"
        )
    if "round" in given:
        return pure(chip, batch, int(given["round"]))
    return BenchmarkRun(chip, batch, given).run()


def pure(chip: SimulatedChip, batch: int, rounds: int) -> int:
    """Pure inference on random data: the mean rate and the mean latencies."""
    rng = np.random.default_rng(0)
    data = [rng.bytes(n) for n in chip.sizes()]
    times = []
    for index in range(rounds):
        times.append(chip.execute(data)[1])
        print(f"[INFO] Dataset number: {index} finished cost {g(times[-1])}ms", flush=True)
    path = Path("result", f"PureInfer_perf_of_{chip.path.stem}_in_device_{chip.device}.txt")
    rate, latency = float(np.mean([1000 * batch / t for t in times])), float(np.mean(times)) / batch
    path.parent.mkdir(exist_ok=True)
    text = f"# {MARK}\nave_throughputRate = {g(rate)}samples/s, ave_latency = {g(latency)}ms\n"
    path.write_text(
        text[: len(text) // 2] if has_fault("truncated-log", chip.device) else text,
        encoding="ascii",
    )
    print(f"[INFO] PureInfer result saved in ./{path}")
    print("-----------------PureInfer Performance Summary------------------")
    if not has_fault("truncated-log", chip.device):
        print(f"[INFO] ave_throughputRate: {g(rate)}samples/s, ave_latency: {g(latency)}ms")
        print("-" * 64)
    return 0


class BenchmarkRun:
    """Inference over an info list."""

    def __init__(self, chip: SimulatedChip, batch: int, given: dict[str, str]) -> None:
        self.chip, self.batch = chip, batch
        self.binary = given.get("output_binary", "false").lower() == "true"
        self.kind = given.get("model_type", "vision")
        self.samples = read_list(given.get("input_text_path", ""))
        self.seconds = {"read": 0.0, "infer": 0.0, "device": 0.0, "post": 0.0}

    def run(self) -> int:
        """The run, its outputs and its perf file."""
        folder = Path("result", f"dumpOutput_device{self.chip.device}")
        folder.mkdir(parents=True, exist_ok=True)
        began = time.perf_counter()
        for start in range(0, len(self.samples), self.batch):
            group = self.samples[start : start + self.batch]
            data = self._timed("read", lambda group=group: self._read(group))
            outputs, milliseconds = self._timed("infer", lambda data=data: self.chip.execute(data))
            self.seconds["device"] += milliseconds / 1000
            self._timed(
                "post", lambda group=group, outputs=outputs: self._write(folder, group, outputs)
            )
        text = self._perf(time.perf_counter() - began)
        name = f"perf_{self.kind}_batchsize_{self.batch}_device_{self.chip.device}.txt"
        cut = has_fault("truncated-log", self.chip.device)
        Path("result", name).write_text(
            f"# {MARK}\n" + (text[: text.index("Interface") + 20] if cut else text),
            encoding="ascii",
        )
        print("-----------------Performance Summary------------------")
        print(f"{text}------------------------------------------------------")
        return 0

    def _timed(self, stage: str, work: Any) -> Any:
        began = time.perf_counter()
        result = work()
        self.seconds[stage] += time.perf_counter() - began
        return result

    def _read(self, group: list[list[str]]) -> list[bytes]:
        data = []
        for number, size in enumerate(self.chip.sizes()):
            parts = []
            for files in group:
                try:
                    parts.append(Path(files[number]).read_bytes())
                except (OSError, IndexError):
                    raise ToolFailed(
                        f"[ERROR] [{MARK}] input {number} of {files[0]} cannot be read"
                    ) from None
                if len(parts[-1]) * self.batch != size:
                    raise ToolFailed(
                        f"[ERROR] [{MARK}] {files[number]} has {len(parts[-1])} bytes, the model"
                        f" takes {size // self.batch}"
                    )
            data.append(b"".join(parts).ljust(size, b"\0"))
        return data

    def _write(
        self, folder: Path, group: list[list[str]], outputs: list[np.ndarray[Any, Any]]
    ) -> None:
        for number, array in enumerate(outputs, start=1):
            for row, files in enumerate(group):
                path = folder / f"{Path(files[0]).stem}_{number}.{'bin' if self.binary else 'txt'}"
                if self.binary:
                    array[row].tofile(path)
                else:
                    path.write_text(
                        " ".join(g(float(v)) for v in array[row].reshape(-1)) + " \n",
                        encoding="ascii",
                    )

    def _perf(self, wall_s: float) -> str:
        """The five sections. ``[post]`` counts batches; the others count samples."""
        count, batches = len(self.samples), -(-len(self.samples) // self.batch)
        read_s, infer_s = self.seconds["read"] / count, wall_s / count
        prepared_s = read_s * 1.002
        rows = [
            f"[e2e] throughputRate: {g(count / wall_s)}, latency: {g(wall_s * 1000)}",
            f"[data read] throughputRate: {g(1 / read_s)}, moduleLatency: {g(read_s * 1000)}",
            (
                f"[preprocess] throughputRate: {g(1 / prepared_s)}, moduleLatency:"
                f" {g(prepared_s * 1000)}"
            ),
            (
                f"[infer] throughputRate: {g(1 / infer_s)}, Interface throughputRate:"
                f" {g(self.batch * batches / self.seconds['device'])}, moduleLatency:"
                f" {g(self.seconds['infer'] * 1000 / batches)}"
            ),
            (
                f"[post] throughputRate: {g(batches / wall_s)}, moduleLatency:"
                f" {g(wall_s * 1000 / batches)}"
            ),
        ]
        return "\n".join(rows) + "\n"


def read_list(path: str) -> list[list[str]]:
    """The files of each sample: consecutive lines with one index are inputs of one sample."""
    found: dict[str, list[str]] = {}
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        raise ToolFailed(f"[ERROR] [{MARK}] the input list '{path}' cannot be read") from None
    for line in lines:
        index, file, *_ = line.split(" ")
        found.setdefault(index, []).append(file)
    return list(found.values())


if __name__ == "__main__":
    run_tool(main)
