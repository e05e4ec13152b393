"""Measure preprocessing against the plain loop that everybody uses, against OpenCV and DALI, and
against its floor.

All subjects work on the same images in every round, in another order each time, so that a slow
moment of the machine falls on all of them.

* reference: PIL open, torchvision Resize, CenterCrop, ToTensor, Normalize, ``tofile``; one process,
  torch threads 1;
* opencv: ``cv2.imread``, ``cv2.resize``, crop, normalise, ``tofile``: fast, and NOT equal to the
  reference;
* dali: the same on DALI's CPU operators, where it is installed: NOT equal either;
* portproof: what ``preprocess/imagenet.py`` does for each image, hashing for the sidecar included,
  with and without the compiled core; a processor that the workers leave hashes and writes, so that
  "1 workers" may use two: the columns of processor time tell what a core does;
* floor: JPEG decoding alone (libjpeg-turbo through simplejpeg, or Pillow where that is missing),
  and writing the files.

Example: ``python benchmarks/preprocess.py --images imagenet/val --limit 120 --rounds 8
--scratch /dev/shm --out benchmarks/results/preprocess.md``
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:1] = [str(ROOT / "src"), str(ROOT / "benchmarks")]

import numpy as np
from PIL import Image
from rounds import ratio

from portproof.core.files import write_text
from portproof.preprocess.cards.resolve import resolve_card
from portproof.preprocess.dataset.images import find_images
from portproof.preprocess.dataset.stream import Prepared, prepare, written
from portproof.preprocess.pixels.transform import Preprocessor
from portproof.proof.journal import pending
from portproof.proof.sidecar import environment
from portproof.recipe import Recipe, with_output

Run = Callable[[list[Path], Path], None]


@dataclass
class Subject:
    """One way to preprocess: ``run(images, folder)``. ``wall`` and ``cpu`` hold seconds an image,
    one of each round.
    """

    name: str
    run: Run
    exact: bool
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def measure(self, images: list[Path], scratch: Path) -> None:
        """One round into a new folder, which is removed outside the clock."""
        folder = Path(tempfile.mkdtemp(dir=scratch))
        wall, cpu = time.perf_counter(), time.process_time()
        self.run(images, folder)
        self.wall.append((time.perf_counter() - wall) / len(images))
        self.cpu.append((time.process_time() - cpu) / len(images))
        shutil.rmtree(folder)


def reference(recipe: Recipe, dtype: str) -> Run:
    """The plain loop; for uint8 it leaves ToTensor and Normalize out."""
    import torch
    from torchvision import transforms

    assert recipe.resize is not None
    torch.set_num_threads(1)
    crop = [
        transforms.Resize(
            recipe.resize.size[0],
            interpolation=transforms.InterpolationMode(recipe.resize.interpolation),
        ),
        transforms.CenterCrop(recipe.crop),
    ]
    values = (
        [transforms.ToTensor(), transforms.Normalize(recipe.mean, recipe.std)]
        if dtype == "float32"
        else []
    )
    steps = transforms.Compose(crop + values)

    def run(images: list[Path], folder: Path) -> None:
        for path in images:
            np.asarray(steps(Image.open(path).convert("RGB"))).tofile(folder / f"{path.stem}.bin")

    return run


def opencv(recipe: Recipe, dtype: str) -> Run:
    """The loop with OpenCV's decoder and cubic resizer."""
    import cv2

    assert recipe.resize is not None and recipe.crop is not None
    cv2.setNumThreads(1)
    size, (height, width) = recipe.resize.size[0], recipe.crop
    mean, std = np.float32(recipe.mean), np.float32(recipe.std)

    def run(images: list[Path], folder: Path) -> None:
        for path in images:
            image: Any = cv2.imread(str(path))
            scale = size / min(image.shape[:2])
            image = cv2.resize(
                image,
                (max(width, int(image.shape[1] * scale)), max(height, int(image.shape[0] * scale))),
                interpolation=cv2.INTER_CUBIC,
            )
            top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
            image = image[top : top + height, left : left + width, ::-1]
            if dtype == "float32":
                image = ((image.astype(np.float32) / np.float32(255) - mean) / std).transpose(
                    2, 0, 1
                )
            np.ascontiguousarray(image).tofile(folder / f"{path.stem}.bin")

    return run


def dali(recipe: Recipe, dtype: str) -> Run:
    """DALI on the CPU with one thread; ImportError where it is not installed."""
    from nvidia.dali import fn, pipeline_def, types

    assert recipe.resize is not None and recipe.crop is not None
    size, (height, width) = recipe.resize.size[0], recipe.crop
    as_floats = dtype == "float32"

    @pipeline_def(batch_size=16, num_threads=1, device_id=None)  # type: ignore[untyped-decorator,unused-ignore]
    def steps(files: list[str]) -> Any:
        data, _ = fn.readers.file(files=files, pad_last_batch=True)
        image = fn.resize(
            fn.decoders.image(data),
            resize_shorter=size,
            interp_type=types.INTERP_CUBIC,
            antialias=True,
        )
        return fn.crop_mirror_normalize(
            image,
            crop=(height, width),
            dtype=types.FLOAT if as_floats else types.UINT8,
            output_layout="CHW" if as_floats else "HWC",
            mean=[255 * m for m in recipe.mean] if as_floats else [0.0],
            std=[255 * s for s in recipe.std] if as_floats else [1.0],
        )

    def run(images: list[Path], folder: Path) -> None:
        pipeline = steps([str(path) for path in images])
        pipeline.build()
        for start in range(0, len(images), 16):
            (batch,) = pipeline.run()
            for offset, path in enumerate(images[start : start + 16]):
                batch.at(offset).tofile(folder / f"{path.stem}.bin")

    return run


def portproof(recipe: Recipe, dtype: Any, workers: int, use_compiled: bool) -> Run:
    """What preprocess/imagenet.py does for each image; the final flush and the sidecar, once a data
    set, are left out.
    """
    preprocessor = Preprocessor(with_output(recipe, dtype), use_compiled)

    def run(images: list[Path], folder: Path) -> None:
        def make(path: Path) -> Prepared:
            return prepare(path, folder, preprocessor)

        for prepared in written(make, images, folder, folder, workers):
            assert prepared.written is not None
            path = folder / prepared.written.path
            pending(path).replace(path)

    return run


def floor(recipe: Recipe, dtype: Any) -> tuple[str, Run]:
    """Decoding alone, plus writing files of the right size."""
    payload = bytes(with_output(recipe, dtype).nbytes)
    try:
        import simplejpeg

        name, decode = "simplejpeg", lambda data: simplejpeg.decode_jpeg(data, "RGB")
    except ImportError:
        name, decode = "Pillow", lambda data: Image.open(io.BytesIO(data)).load()

    def run(images: list[Path], folder: Path) -> None:
        for path in images:
            decode(path.read_bytes())
            (folder / f"{path.stem}.bin").write_bytes(payload)

    return f"floor {dtype} ({name})", run


def subjects_of(recipe: Recipe, dtype: str) -> list[Subject]:
    """Every subject for one output type; the reference is the first, the floor the last."""
    found = [Subject(f"reference {dtype}", reference(recipe, dtype), True)]
    for name, maker in (("opencv", opencv), ("dali", dali)):
        try:
            found.append(Subject(f"{name} {dtype}", maker(recipe, dtype), False))
        except ImportError as error:
            print(f"{name}: left out, {error}")
    for use_compiled in (False, True):
        core = "compiled" if use_compiled else "stock wheels"
        for workers in (1, 2):
            found.append(
                Subject(
                    f"portproof {dtype}, {core}, {workers} workers",
                    portproof(recipe, dtype, workers, use_compiled),
                    True,
                )
            )
    name, run = floor(recipe, dtype)
    return [*found, Subject(name, run, True)]


def make_images(folder: Path, count: int) -> list[Path]:
    """JPEG files like ImageNet's in size (0.2 megapixels, about 100 KB) and in kind (shapes and
    noise).
    """
    rng = np.random.default_rng(0)
    for number in range(count):
        height, width = [(375, 500), (500, 375), (333, 500), (500, 334), (400, 400)][number % 5]
        y, x = np.mgrid[0:height, 0:width]
        waves = np.stack(
            [np.sin(x / rng.uniform(5, 60)) + np.cos(y / rng.uniform(5, 60)) for _ in range(3)],
            axis=-1,
        )
        pixels = (waves * 55 + 128 + rng.normal(0, 14, waves.shape)).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(
            folder / f"image_{number:05d}.JPEG", quality=90, subsampling=2 if number % 4 == 0 else 0
        )
    return find_images(folder)


def table(subjects: list[Subject], plain: Subject) -> list[str]:
    """A Markdown table: medians over the rounds, and medians of the ratios of each round with their
    range.
    """
    base, bottom = subjects[0], subjects[-1]
    lines = [
        "",
        "| subject | images/s | CPU ms/image | x reference | x float32 reference | CPU: x"
        " reference | of the floor's rate | same bits |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for subject in subjects:
        columns = [
            f"{1 / statistics.median(subject.wall):.0f}",
            f"{statistics.median(subject.cpu) * 1e3:.2f}",
            ratio(base.wall, subject.wall),
            ratio(plain.wall, subject.wall),
            ratio(base.cpu, subject.cpu),
            ratio(bottom.wall, subject.wall),
            "yes" if subject.exact else "no",
        ]
        lines.append(f"| {subject.name} | {' | '.join(columns)} |")
    return lines


def head(images: list[Path], given: bool, rounds: int, scratch: str | None) -> list[str]:
    """What was measured, and where; ``given``: the images are the user's."""
    host = environment()
    packages = ("Pillow", "numpy", "torch", "torchvision")
    size = sum(path.stat().st_size for path in images) / len(images)
    return [
        f"# Preprocessing, {os.cpu_count()} processors, no GPU",
        "",
        f"`python benchmarks/preprocess.py{' --images DIR' if given else ''} --limit {len(images)}"
        f" --rounds {rounds}{f' --scratch {scratch}' if scratch else ''}` on"
        f" {'given JPEGs' if given else 'JPEGs made on the spot'} of {size / 1e3:.0f} KB in the"
        " mean, every subject in turn in every round.",
        f"{host['processor']}, {platform.system()} {platform.release()}, Python"
        f" {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in packages)
        + f", load at the start {os.getloadavg()[0]:.1f}.",
        "Ratios are medians of the paired rounds, with their range. CPU: the processor time of all"
        " threads, so its ratio is that of one core.",
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--images", metavar="DIR", help="JPEG files; without it some are made on the spot"
    )
    parser.add_argument("--limit", type=int, default=150, help="use at most so many images")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--scratch",
        metavar="DIR",
        help="write the samples below it, best in memory: a disk looks long for places to create"
        " files in after thousands of others were deleted (default: the system's)",
    )
    parser.add_argument("--out", type=Path, metavar="PAGE", help="write the page here, too")
    options = parser.parse_args()
    recipe = resolve_card("regnety_016").preprocessing
    with tempfile.TemporaryDirectory(dir=options.scratch) as name:
        scratch = Path(name)
        (scratch / "images").mkdir()
        images = (
            find_images(options.images)
            if options.images
            else make_images(scratch / "images", options.limit)
        )[: options.limit]
        page = head(images, bool(options.images), options.rounds, options.scratch)
        groups = [subjects_of(recipe, dtype) for dtype in ("float32", "uint8")]
        measure(groups, images, scratch, options.rounds)
    for group in groups:
        page += table(group, groups[0][0])
    page += ["", f"Load at the end: {os.getloadavg()[0]:.1f}.", ""]
    print("\n".join(page))
    if options.out:
        write_text(options.out, "\n".join(page))


def measure(groups: list[list[Subject]], images: list[Path], scratch: Path, rounds: int) -> None:
    """Every subject once a round, beginning with another one each time."""
    everyone = [subject for group in groups for subject in group]
    for subject in everyone:
        subject.measure(images[:8], scratch)  # warm-up: code, tables, caches
        subject.wall.clear()
        subject.cpu.clear()
    for number in range(rounds):
        shift = number * 5 % len(everyone)
        for subject in everyone[shift:] + everyone[:shift]:
            subject.measure(images, scratch)


if __name__ == "__main__":
    main()
