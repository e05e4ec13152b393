"""Whether prepared samples are what a recipe asks for; if not, which usual mistake made them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL

from portproof.core.errors import InputError
from portproof.core.files import existing_folder
from portproof.core.text import listed
from portproof.manifest import files_in, sample_id
from portproof.preprocess.dataset.images import find_images
from portproof.preprocess.dataset.pack import SAMPLES, open_packed
from portproof.preprocess.mistakes.mistake import Mistake
from portproof.preprocess.mistakes.usual import usual_mistakes
from portproof.preprocess.pixels.fingerprint import fingerprint
from portproof.preprocess.pixels.transform import Preprocessor, Sample
from portproof.proof.sidecar import proof_of, root_of
from portproof.recipe import Recipe, describe, recipe_hash

#: So many of the samples that differ are enough to tell one explanation from another.
_EXPLAINED_BY = 6

#: Values closer than this part of one pixel level come from the same pixel, by other rounding
#: (arithmetic in double precision, say).
_SAME_LEVEL = 0.02

Stored = dict[str, Callable[[], bytes]]


def check_folder(
    prep: Path, recipe: Recipe, images_dir: str | None, samples: int, seed: int
) -> dict[str, Any]:
    """Compare a random sample of a folder with what the recipe makes of the images.

    The result is JSON: ``verdict`` (PASS or FAIL), ``sampled``, ``identical`` and ``same_pixels``
    (counts), ``differing`` (ids), ``max_difference``, ``explanation`` (null, or ``change``,
    ``asked``, ``found``, ``explains`` of ``of`` samples) and ``notes``.
    """
    stored = stored_samples(prep)
    images = images_of(prep, images_dir)
    orphans = sorted(stored.keys() - images.keys())
    if orphans:
        raise InputError(
            f"'{prep}' holds {len(orphans)} samples without an image ({listed(orphans)}); give the"
            " right --images"
        )
    ids = sorted(stored)
    chosen = [
        ids[i]
        for i in sorted(
            np.random.default_rng(seed).choice(len(ids), min(samples, len(ids)), replace=False)
        )
    ]
    preprocessor = Preprocessor(recipe)
    identical, same, differing, largest = 0, 0, [], 0.0
    for name in chosen:
        expected, found = made(preprocessor, images[name]), stored[name]()
        difference = difference_of(expected, found)
        identical += expected.tobytes() == found
        same += is_same(difference, recipe)
        if not is_same(difference, recipe):
            differing.append(name)
        largest = max(largest, 0.0 if difference is None else difference)
    result: dict[str, Any] = {
        "verdict": "FAIL" if differing else "PASS",
        "recipe": describe(recipe),
        "samples": len(stored),
        "sampled": len(chosen),
        "identical": identical,
        "same_pixels": same,
        "differing": differing,
        "max_difference": largest,
        "explanation": None,
        "notes": notes_on(prep, stored, images, preprocessor, images_dir),
    }
    if differing:
        result["explanation"] = explain(recipe, differing[:_EXPLAINED_BY], images, stored)
    return result


def stored_samples(prep: Path) -> Stored:
    """Sample id -> what reads its bytes, of a folder of ``.bin`` files or a packed one."""
    folder = existing_folder(prep, "samples")
    if (folder / SAMPLES).is_file():
        ids, rows = open_packed(folder)
        return {name: rows[index].tobytes for index, name in enumerate(ids)}
    paths = files_in(folder, (".bin",))
    if not paths:
        raise InputError(
            f"'{prep}' holds no .bin files and no {SAMPLES}; expected was what"
            " preprocess/imagenet.py or another script wrote"
        )
    return {sample_id(path): path.read_bytes for path in paths}


def images_of(prep: Path, images_dir: str | None) -> dict[str, Path]:
    """Sample id -> image, of the folder given, or of the samples' sidecar."""
    if images_dir is not None:
        return {sample_id(path): path for path in find_images(images_dir)}
    proof = proof_of(prep)
    if proof is None or "images" not in proof.inputs:
        raise InputError(f"'{prep}' has no sidecar that names its images; give --images IMAGES_DIR")
    root = root_of(prep)
    return {sample_id(record.path): root / record.path for record in proof.inputs["images"]}


def made(preprocessor: Preprocessor, image: Path) -> Sample:
    """The sample of an image file; :class:`InputError` names a bad one."""
    try:
        return preprocessor(image.read_bytes())[0]
    except InputError as error:
        raise InputError(f"image '{image}': {error}") from error


def difference_of(expected: Sample, found: bytes) -> float | None:
    """The largest absolute difference; None if sizes differ or values are not numbers."""
    if len(found) != expected.nbytes:
        return None
    values: npt.NDArray[Any] = np.frombuffer(found, expected.dtype).reshape(expected.shape)
    difference = float(np.abs(values.astype(np.float64) - expected).max())
    return difference if np.isfinite(difference) else None


def is_same(difference: float | None, recipe: Recipe) -> bool:
    """Whether a difference is of rounding alone: well below what one level of a pixel makes."""
    if difference is None:
        return False
    level = 1.0 / (recipe.divide * max(recipe.std))
    # float16 has 11 significant bits; its last one is 1/1024 of values up to 2, which normalised
    # pixels are about.
    return difference <= level * _SAME_LEVEL + (2.0**-9 if recipe.dtype == "float16" else 0.0)


def explain(
    recipe: Recipe, names: list[str], images: dict[str, Path], stored: Stored
) -> dict[str, Any] | None:
    """The usual mistake that explains most of the differing samples, or None."""
    held = {name: stored[name]() for name in names}
    best: tuple[int, Mistake] | None = None
    for mistake in usual_mistakes(recipe):
        count = 0
        for name in names:
            try:
                sample = mistake.apply(images[name].read_bytes())
            except InputError:  # of a package that is not installed, too
                continue
            count += is_same(difference_of(sample, held[name]), mistake.recipe)
        if count and (best is None or count > best[0]):
            best = (count, mistake)
        if count == len(names):
            break
    if best is None:
        return None
    count, mistake = best
    return {
        "change": mistake.part,
        "asked": mistake.asked,
        "found": mistake.found,
        "explains": count,
        "of": len(names),
    }


def notes_on(
    prep: Path,
    stored: Stored,
    images: dict[str, Path],
    preprocessor: Preprocessor,
    images_dir: str | None,
) -> list[str]:
    """What else a reader should know: images without samples, sizes that cannot be right, another
    Pillow, another fingerprint.
    """
    recipe = preprocessor.recipe
    notes = []
    missing = sorted(images.keys() - stored.keys())
    if missing and images_dir is not None:
        notes.append(f"{len(missing)} images have no sample ({listed(missing)})")
    sizes = {len(read()) for read in list(stored.values())[:8]}
    if sizes != {recipe.nbytes}:
        notes.append(
            f"samples have {', '.join(map(str, sorted(sizes)))} bytes, the recipe makes"
            f" {recipe.nbytes}"
        )
    proof = proof_of(prep)
    then = proof.versions.get("Pillow") if proof else None
    if then and then != PIL.__version__:
        notes.append(f"made with Pillow {then}, checked with {PIL.__version__}")
    if (
        proof
        and proof.facts.get("recipe_sha256") == recipe_hash(recipe)
        and proof.facts.get("fingerprint") != fingerprint(preprocessor)
    ):
        notes.append(
            "by the sidecar's fingerprint, the libraries that made it have other bits for this"
            " recipe than the ones here"
        )
    return notes


def sentence_of(result: dict[str, Any]) -> str:
    """The result for people."""
    counts = f"{result['same_pixels']} of {result['sampled']} sampled files"
    if result["verdict"] == "PASS":
        exact = (
            "to the last bit"
            if result["identical"] == result["sampled"]
            else f"but for rounding (at most {result['max_difference']:.2g})"
        )
        lines = [f"PASS: {counts} are what the recipe asks for, {exact}"]
    else:
        lines = [f"FAIL: only {counts} are what the recipe asks for ({result['recipe']})"]
        why = result["explanation"]
        if why is None:
            lines.append("no single change of the recipe explains it")
        else:
            lines.append(
                f"{why['change']} explains {why['explains']} of {why['of']}: asked for"
                f" {why['asked']}, found {why['found']}"
            )
    return "\n".join(lines + result["notes"])
