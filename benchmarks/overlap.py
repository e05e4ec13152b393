"""What ``infer/run.py`` costs beside the model, and how much of the model's rate is left.

``loop``: with the backend ``null`` (it answers zeros at once), the whole of a run, from the info
list to the sidecar, beside the plainest loop over the same files (open, read into the batch, call
the session, write), and beside that loop with SHA-256 of every file, which is what a sidecar needs.
Samples of 4 KB, 150 KB (uint8, 3 x 224 x 224) and 600 KB (float32), in batches of 16 and one by
one; results of 4 KB.

``model``: MobileNetV3-small (torchvision, random weights) on ONNX Runtime with one intra-op thread:
samples a second from the first read to the last write, over the calls of a session that has its
inputs in memory. Both sides load the model anew and make as many calls.

All sides work in turn on the same files, in another order each round; a ratio is of one round, and
its median, lowest and highest are shown. Files are in ``--scratch``, best in memory: a disk of many
users hides everything else.

Example: ``python benchmarks/overlap.py --out benchmarks/results/overlap.md``
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import hashlib
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
import timeit
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

ROOT = Path(__file__).resolve().parents[1]
sys.path[:1] = [str(ROOT / "src"), str(ROOT / "benchmarks")]

from rounds import ratio

from portproof.backend import LoadRequest, Session
from portproof.core import progress
from portproof.core.files import write_text
from portproof.infer.backends import null, ort
from portproof.infer.offline.inference import run
from portproof.infer.offline.native import file_reader
from portproof.proof.sidecar import environment

CARD = """\
name: overlap
builder: torchvision:mobilenet_v3_small
inputs: [{{name: image, shape: {shape}, dtype: {dtype}}}]
outputs: [{{name: class, shape: [1000]}}]
recipe: {{crop: {size}}}
"""
#: Name, shape and dtype of a sample, and how many for one of ``--samples``.
SIZES = (
    ("4 KB float32", (3, 18, 18), "float32", 4),
    ("150 KB uint8", (3, 224, 224), "uint8", 2),
    ("600 KB float32", (3, 224, 224), "float32", 1),
)
BATCHES, MODEL_BATCH = (16, 1), 8


@dataclass
class Side:
    """One way to do the work in a new folder, with its seconds a sample of each round."""

    name: str
    work: Callable[[Path], object]
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def measure(self, samples: int) -> None:
        """One round."""
        folder = Path(f"result{len(self.wall)}")
        wall, cpu = time.perf_counter(), time.process_time()
        self.work(folder)
        self.cpu.append((time.process_time() - cpu) / samples)
        self.wall.append((time.perf_counter() - wall) / samples)
        shutil.rmtree(folder)
        Path(f"{folder}.proof.json").unlink(missing_ok=True)


#: A file system in memory, where there is one: disks of shared machines vary by the second.
_IN_MEMORY = ("/dev/shm",)  # nosec B108 - a folder of its own is made in it


def plain(session: Session, samples: int, size: int, hashed: bool) -> Callable[[Path], None]:
    """The plainest loop over ``prep/s<i>.bin``, ``size`` samples a call."""
    spec = session.inputs[0]

    def work(folder: Path) -> None:
        folder.mkdir()
        batch = np.empty((size, *spec.sample_shape), spec.dtype)
        for start in range(0, samples, size):
            for row in range(size):
                with open(f"prep/s{start + row}.bin", "rb", buffering=0) as file:
                    file.readinto(batch[row].data)
                if hashed:
                    hashlib.sha256(batch[row].data).hexdigest()
            results = session.run({spec.name: batch})["class"]
            for row in range(size):
                data = results[row].tobytes()
                with open(f"{folder}/s{start + row}_1.bin", "wb") as file:
                    file.write(data)
                if hashed:
                    hashlib.sha256(data).hexdigest()

    return work


def make_samples(shape: tuple[int, ...], dtype: str, samples: int) -> None:
    """The card, an info list and its files, in the working directory."""
    Path("card.yaml").write_text(CARD.format(shape=list(shape), dtype=dtype, size=list(shape[1:])))
    shutil.rmtree("prep", ignore_errors=True)
    Path("prep").mkdir()
    rng = np.random.default_rng(0)
    one = rng.integers(0, 255, shape).astype(dtype)
    for number in range(samples):
        one.flat[0] = number % 256
        one.tofile(f"prep/s{number}.bin")
    Path("prep.info").write_text(
        "".join(f"{i} prep/s{i}.bin {shape[2]} {shape[1]}\n" for i in range(samples))
    )


def save_identity() -> None:
    """A model file for the backend ``null``, which does not run it."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3])
    result = helper.make_tensor_value_info("class", TensorProto.FLOAT, ["N", 3])
    node = helper.make_node("Identity", ["image"], ["class"])
    graph = helper.make_graph([node], "identity", [image], [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=7)
    onnx.save(model, "model.onnx")


def ours(folder: Path, size: int, form: str = "bin") -> None:
    """The whole run, ``size`` samples a call."""
    run(
        "model.onnx",
        "prep.info",
        folder,
        backend="null",
        batch=size,
        card="card.yaml",
        form=form,
    )


def loop_rows(rounds: int, per: int) -> Iterator[str]:
    """Rows of the table of the loop, for each size of samples and batches."""
    save_identity()
    for name, shape, dtype, times in SIZES:
        samples = per * times // max(BATCHES) * max(BATCHES)
        make_samples(shape, dtype, samples)
        session = null.load(Path("model.onnx"), LoadRequest(card="card.yaml"))
        for size in BATCHES:
            sides = [
                Side("plain loop", plain(session, samples, size, False)),
                Side("plain loop, hashed", plain(session, samples, size, True)),
                Side("infer/run.py", functools.partial(ours, size=size)),
                Side("infer/run.py --format pack", functools.partial(ours, size=size, form="pack")),
            ]
            alternate(sides, rounds, samples)
            for side in sides:
                yield (
                    f"| {name} | {size} | {side.name}"
                    f" | {statistics.median([1 / s for s in side.wall]):.0f}"
                    f" | {1e3 * statistics.median(side.cpu):.3f} | {ratio(side.cpu, sides[0].cpu)}"
                    f" | {ratio(side.cpu, sides[1].cpu)} |"
                )


def alternate(sides: list[Side], rounds: int, samples: int) -> None:
    """All sides in every round, each time in another order; the first round is not kept."""
    for number in range(rounds + 1):
        shift = number % len(sides)
        for side in sides[shift:] + sides[:shift]:
            side.measure(samples)
        if number == 0:
            for side in sides:
                side.wall.clear()
                side.cpu.clear()


def model_row(rounds: int, samples: int) -> str:
    """A sentence about MobileNetV3-small from file to result."""
    export()
    samples = samples // MODEL_BATCH * MODEL_BATCH
    make_samples((3, 224, 224), "float32", samples)
    rates: dict[Callable[[int], float], list[float]] = {end_to_end_rate: [], pure_rate: []}
    for number in range(rounds):
        for side in list(rates)[:: -1 if number % 2 else 1]:
            rates[side].append(side(samples))
    whole, pure = rates.values()
    return (
        f"{statistics.median(whole):.1f} samples/s from file to result,"
        f" {statistics.median(pure):.1f} pure: {ratio(whole, pure)} of the pure rate."
        f" Batches of {MODEL_BATCH}, {samples} samples a round, one intra-op thread."
    )


def export() -> None:
    """``mobile.onnx``."""
    import torch
    from torchvision.models import mobilenet_v3_small

    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            mobilenet_v3_small().eval(),
            (torch.zeros(1, 3, 224, 224),),
            "mobile.onnx",
            input_names=["image"],
            output_names=["class"],
            dynamic_axes={"image": {0: "N"}, "class": {0: "N"}},
            dynamo=False,
        )


def pure_rate(samples: int) -> float:
    """Samples a second of the calls alone, with the inputs in memory."""
    batches = [
        np.stack(
            [
                np.fromfile(f"prep/s{i}.bin", np.float32).reshape(3, 224, 224)
                for i in range(start, start + MODEL_BATCH)
            ]
        )
        for start in range(0, samples, MODEL_BATCH)
    ]
    session = ort.load(
        Path("mobile.onnx"), LoadRequest(batch=MODEL_BATCH, threads=1, spinning=False)
    )
    began = time.perf_counter()
    for batch in batches:
        session.run({"image": batch})
    seconds = time.perf_counter() - began
    session.close()
    return samples / seconds


def end_to_end_rate(samples: int) -> float:
    """Samples a second as the sidecar has them."""
    proof = run("mobile.onnx", "prep.info", "mobile", batch=MODEL_BATCH, threads=1)
    shutil.rmtree("mobile")
    Path("mobile.proof.json").unlink()
    rate: Any = proof.facts["end_to_end"]
    assert rate["samples"] == samples
    return float(rate["images_per_second"])


def hashing_gb_s() -> tuple[float, float]:
    """How fast one core hashes by OpenSSL, and how fast it reads and hashes files as a run does,
    the best of some tries.
    """
    make_samples((3, 224, 224), "float32", 16)
    paths, rows = [f"prep/s{i}.bin" for i in range(16)], np.empty((16, 3, 224, 224), np.float32)
    reader, data = file_reader(), rows.data.cast("B")

    def best(work: Callable[[], object]) -> float:
        return min(timeit.repeat(work, number=1, repeat=50))

    hashing, both = best(lambda: hashlib.sha256(data)), best(lambda: reader.read(paths, rows))
    return rows.nbytes / hashing / 1e9, rows.nbytes / both / 1e9


def page(rows: list[str], sentence: str, command: str, before: tuple[float, ...]) -> str:
    """The page."""
    host, (load, hashing, both) = environment(), before
    packages = ", ".join(f"{p} {version(p)}" for p in ("numpy", "onnxruntime", "torchvision"))
    return "\n".join(
        [
            "# What infer/run.py costs beside the model",
            "",
            f"`{command}`, {time.strftime('%Y-%m-%d')}. {host['processor']}, {host['cpus']}"
            f" processors, Python {platform.python_version()}, {packages}; load before"
            f" {load:.1f}. One core hashes {hashing:.2f} GB/s by OpenSSL (SHA-256) here, and reads"
            f" and hashes {both:.2f} GB/s of the files of a batch, four side by side: that is the"
            " floor under large samples, whatever else is spared.",
            "",
            "Whole runs with the backend `null`, from the info list to the sidecar, every byte"
            " hashed. Ratios are of processor time, of one round each: median (lowest to highest).",
            "",
            "| sample | batch | side | samples/s | CPU ms/sample | x plain | x plain, hashed |",
            "|---|---|---|---|---|---|---|",
            *rows,
            "",
            f"MobileNetV3-small: {sentence}",
            "",
        ]
    )


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7, help="of each part (default 7)")
    parser.add_argument(
        "--samples", type=int, default=1024, help="of 600 KB; more of small ones (default 1024)"
    )
    parser.add_argument("--model-samples", type=int, default=512, help="of a round (default 512)")
    memory = next((m for m in _IN_MEMORY if os.path.isdir(m)), None)
    parser.add_argument("--scratch", default=memory, help=f"default: {memory or 'temporary files'}")
    parser.add_argument("--out", type=Path, help="write the page here too")
    options = parser.parse_args()
    progress.configure(quiet=True)
    command, load = " ".join(["python benchmarks/overlap.py", *sys.argv[1:]]), os.getloadavg()[0]
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder, contextlib.chdir(folder):
        before = (load, *hashing_gb_s())
        rows = list(loop_rows(options.rounds, options.samples))
        sentence = model_row(options.rounds, options.model_samples)
    text = page(rows, sentence, command, before)
    print(text)
    if options.out:
        write_text(options.out, text)


if __name__ == "__main__":
    main()
