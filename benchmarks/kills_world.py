"""A small port whose stages can be run one by one, broken off, and compared: forty lines of model,
some hundred small images, and what each stage makes of them.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]

#: Folders of many files, in which no stage writes first.
_LARGE = frozenset({"images"})

_MODEL = """
from torch import nn


def build():
    return nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 3))
"""

_CARD = """
name: colours
builder: colours.py:build
inputs: [{name: image, shape: [3, 8, 8]}]
outputs: [{name: class, shape: [3]}]
recipe: {resize: {rule: exact, size: [8, 8]}, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5]}
published: {top1: 90.0, source: made here}
batches: [1, 2]
"""


@dataclass(frozen=True)
class Stage:
    """One command in the world's folder. ``codes``: what it may end with when nothing is wrong;
    ``needs``: the stages whose files it reads; ``once``: it refuses what is there already.
    """

    name: str
    words: tuple[str, ...]
    codes: tuple[int, ...] = (0,)
    needs: tuple[str, ...] = ()
    once: bool = False

    def start(
        self, folder: Path, before: str = "", preexec_fn: Callable[[], object] | None = None
    ) -> subprocess.Popen[str]:
        """The command as a process of its own group. ``before``: a folder that Python looks into
        before ours; ``preexec_fn``: what the new process does first.
        """
        script, *rest = self.words
        command = [sys.executable, *(script.split() if " " in script else [str(ROOT / script)])]
        kept = {k: v for k, v in os.environ.items() if not k.startswith("PORTPROOF")}
        return subprocess.Popen(
            [*command, *rest],
            cwd=folder,
            env=kept | {"PYTHONPATH": os.pathsep.join(filter(None, (before, str(ROOT / "src"))))},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=preexec_fn,  # noqa: PLW1509 - no thread of ours runs
        )

    def ended(self, code: int, errors: str) -> bool:
        """Whether it ended well: also one that was over already, and says so."""
        return code in self.codes or (self.once and code == 2 and "is there already" in errors)


def _stage(
    name: str, line: str, *needs: str, codes: tuple[int, ...] = (0,), once: bool = False
) -> Stage:
    return Stage(name, tuple(line.split()), codes, needs, once)


_GIVEN = (
    "--model given/colours.yaml --weights given/weights.pth --images given/images"
    " --labels given/labels.txt --margin-pp 20 --workers 1 --batch 1"
)


def _port(name: str, *words: str) -> Stage:
    return Stage(name, ("-m portproof", "port", *words, *_GIVEN.split()), (0, 1, 4))


#: Every stage that writes, each on what those before it made.
STAGES = (
    _stage("export", "convert/pth2onnx.py given/weights.pth model.onnx --model given/colours.yaml"),
    _stage("preprocess", "preprocess/imagenet.py given/images prep --model given/colours.yaml"),
    _stage(
        "pack samples",
        "preprocess/imagenet.py given/images packed --model given/colours.yaml --pack",
    ),
    _stage("info", "preprocess/get_info.py bin prep prep.info 8 8", "preprocess"),
    _stage(
        "int8",
        "convert/quantize.py model.onnx int8.onnx --precision int8 --info prep.info",
        *("export", "info"),
    ),
    _stage(
        "infer",
        "infer/run.py model.onnx --info prep.info --out eager --batch 4",
        *("export", "info"),
    ),
    _stage("infer txt", "infer/run.py int8.onnx --info prep.info --out text --format txt", "int8"),
    _stage("topn", "metrics/topn.py eager given/labels.txt --out r.json --outcomes o.csv", "infer"),
    _stage(
        "compare",
        "metrics/compare.py eager text given/labels.txt --margin-pp 20 --out compare.json",
        *("infer", "infer txt"),
        codes=(0, 1, 4),
    ),
    _stage(
        "bench",
        "infer/bench.py a=ort:model.onnx b=ort:int8.onnx --batch 1 --iterations 20 --blocks 4"
        " --starts 2 --out perf.json",
        "int8",
    ),
    _port("port", "--target", "cpu", "--starts", "2", "--run-dir", "run"),
    _port("port in rehearsal", "--target", "310p", "--rehearse", "--run-dir", "run-REHEARSAL"),
    _stage("report", "reports/report.py run", "port"),
    _stage("page", "reports/html.py run --out page.html", "port"),
    _stage("parcel", "reports/pack.py run -o run.tar.zst", "port", once=True),
    _stage("baseline", "reports/baseline.py run --out frozen", "port", once=True),
)


def make_world(folder: Path, samples: int) -> None:
    """The card, the weights, the images and their labels, under ``given``."""
    import torch
    from PIL import Image

    given = folder / "given"
    (given / "images").mkdir(parents=True)
    (given / "colours.py").write_text(_MODEL)
    (given / "colours.yaml").write_text(_CARD)
    noise, labels = np.random.default_rng(5), []
    for i in range(samples):
        pixels = noise.integers(0, 90, (9, 10, 3), dtype=np.uint8)
        pixels[..., i % 3] += 100
        Image.fromarray(pixels).save(given / "images" / f"colour_{i:04}.JPEG")
        labels.append(f"colour_{i:04}.JPEG {(i + (i % 10 == 9)) % 3}\n")
    (given / "labels.txt").write_text("".join(labels))
    weight = torch.zeros(3, 12)
    for channel in range(3):
        weight[channel, 4 * channel : 4 * channel + 4] = 1.0
    torch.save({"2.weight": weight, "2.bias": torch.zeros(3)}, given / "weights.pth")


@dataclass(frozen=True)
class Known:
    """What a stage makes when nothing disturbs it: bytes by name (None: they differ from run to
    run), the folder before it, and the seconds until it first writes and until it ends.
    """

    stage: Stage
    before: Path
    made: dict[str, bytes | None]
    writes_s: float
    ends_s: float


def learnt(asked: str, world: Path, place: Path) -> Iterator[Known]:
    """What each stage that was asked for makes, in turn. What they need runs once before them.

    ``asked``: stages, or parts of their names, with commas between; nothing means all. Raises
    SystemExit where there is no such stage.
    """
    chosen = {name for word in asked.split(",") for name in _named(word.strip())}
    needed = set(chosen)
    for stage in reversed(STAGES):
        if stage.name in needed:
            needed |= set(stage.needs)
    for number, stage in enumerate(STAGES):
        if stage.name in chosen:
            yield learn(stage, world, place / str(number))
        elif stage.name in needed:
            _timed(stage, world)


def _named(word: str) -> list[str]:
    """The stage of this name, else all whose names hold the word."""
    names = [stage.name for stage in STAGES]
    found = [word] if word in names else [name for name in names if word in name]
    if not found:
        raise SystemExit(f"there is no stage '{word}': {', '.join(names)}")
    return found


def learn(stage: Stage, world: Path, place: Path) -> Known:
    """Run a stage twice undisturbed, once in the world and once in a copy."""
    before, again = place / "before", place / "again"
    for folder in (before, again):
        copied(world, folder)
    names = set(contents(world))
    writes_s, ends_s = _timed(stage, world)
    time.sleep(1.0)  # a file that holds a time in whole seconds must not be equal by chance
    _timed(stage, again)
    first, second = contents(world), contents(again)
    made = {n: b if second.get(n) == b else None for n, b in first.items()}
    if first.keys() != second.keys():
        raise SystemExit(f"{stage.name}: two runs made files of other names")
    for name in names & made.keys():
        if (before / name).read_bytes() == first[name]:
            del made[name]  # the stage did not touch it
    shutil.rmtree(again)
    return Known(stage, before, made, writes_s, ends_s)


def _timed(stage: Stage, folder: Path) -> tuple[float, float]:
    """Seconds to the first change in the folder and to the end; the stage must succeed."""
    began, seen, names = time.monotonic(), 0.0, _names(folder)
    process = stage.start(folder)
    while process.poll() is None:
        if not seen and _names(folder) != names:
            seen = time.monotonic() - began
        time.sleep(0.02)
    errors = process.communicate()[1]
    if process.returncode not in stage.codes:
        raise SystemExit(f"{stage.name} fails without a disturbance:\n{errors}")
    ended = time.monotonic() - began
    return seen or ended, ended


def _names(folder: Path) -> set[tuple[str, int]]:
    """Names and inodes of all files below: one that is replaced deep down is written as well."""
    found = set()
    for place, folders, _ in os.walk(folder):
        with contextlib.suppress(FileNotFoundError), os.scandir(place) as entries:
            found |= {(entry.path, entry.inode()) for entry in entries}
        folders[:] = [name for name in folders if name not in _LARGE]
    return found


def copied(source: Path, target: Path) -> None:
    """A copy that shares the files: every stage replaces files and changes none in their place."""
    shutil.copytree(source, target, copy_function=os.link)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, the hidden ones too. Of sidecars only what they vouch for."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name, data = path.relative_to(folder).as_posix(), path.read_bytes()
            found[name] = _vouched(data) if name.endswith(".proof.json") else data
    return found


def _vouched(sidecar: bytes) -> bytes:
    try:
        outputs = json.loads(sidecar)["outputs"]
    except ValueError:  # one that is being written, in a hidden folder
        return sidecar
    return json.dumps([[r["path"], r["sha256"]] for r in outputs]).encode()
