"""Make a folder of ``.bin`` files from a data set, with its sidecar."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from portproof.core import progress
from portproof.core.errors import InputError
from portproof.core.files import flush_to_disk
from portproof.core.text import listed
from portproof.core.yamlfile import as_data
from portproof.manifest import sample_id
from portproof.preprocess.dataset.images import find_images
from portproof.preprocess.dataset.stream import (
    ClippingWarner,
    Prepared,
    prepare,
    sample_of,
    written,
)
from portproof.preprocess.pixels.fingerprint import decoders, fingerprint
from portproof.preprocess.pixels.transform import Preprocessor
from portproof.proof.journal import Journal
from portproof.proof.sidecar import FileRecord, record_of
from portproof.proof.work import Work
from portproof.recipe import Recipe, recipe_hash

#: Raised when the bytes that the same recipe makes change.
REVISION = 1


@dataclass
class Tally:
    """What a run has seen: records of images and of files written, and images left out."""

    sources: list[FileRecord] = field(default_factory=list)
    written: list[FileRecord] = field(default_factory=list)
    skipped: list[dict[str, str]] = field(default_factory=list)
    warner: ClippingWarner = field(default_factory=ClippingWarner)

    def add(self, prepared: Prepared, skip_bad: bool) -> None:
        """Count one image; :class:`InputError` names a bad one unless bad ones are skipped."""
        self.sources.append(prepared.source)
        self.warner.see(prepared)
        if prepared.reason:
            if not skip_bad:
                sample_of(prepared)
            self.skipped.append({"file": prepared.source.path, "reason": prepared.reason})
        elif prepared.written is not None:
            self.written.append(prepared.written)


def make_bins(
    images_dir: Path,
    prep: Path,
    recipe: Recipe,
    *,
    workers: int,
    skip_bad: bool = False,
    model: str | None = None,
) -> None:
    """Write ``prep/<id>.bin`` for every image, and the sidecar; do nothing when that is done
    already, and continue what was interrupted.

    :class:`InputError` names the first image that cannot be used, unless ``skip_bad``. An image
    that changed since an interrupted run began makes everything be done again.
    """
    images = find_images(images_dir)
    refuse_blanks(images)
    work = work_of("preprocess", prep, images, recipe, skip_bad)
    if work.is_done():
        return
    # Hashed while they are read, image by image, so they are not inputs that begin() would hash
    # beforehand.
    work.inputs = {}
    preprocessor, tally = Preprocessor(recipe), Tally()
    progress.say(f"preprocess: {preprocessor.core} core")
    with Journal(work, {"images": images_digest(images)}) as journal:
        work.begin()
        finished = dict(journal.finished)

        def make(path: Path) -> Prepared:
            done = finished.get(f"{sample_id(path)}.bin")
            if done is not None:
                return Prepared(path, record_of(path, work.root), written=done)
            return prepare(path, work.root, preprocessor)

        with progress.meter("preprocess", len(images), "images", done=len(finished)) as meter:
            for prepared in written(make, images, prep, work.root, workers):
                tally.add(prepared, skip_bad)
                record = prepared.written
                if record is not None and os.path.basename(record.path) not in finished:
                    journal.publish(record)
                    meter.advance()
    finish(work, tally, preprocessor, model)
    journal.remove()


def finish(work: Work, tally: Tally, preprocessor: Preprocessor, model: str | None) -> None:
    """Refuse an empty result, say what was left out, and write the sidecar."""
    if not tally.written:
        raise InputError(
            f"none of the {len(tally.sources)} images could be used ({tally.skipped[0]['reason']});"
            " check the folder"
        )
    if tally.skipped:
        names = [item["file"] for item in tally.skipped]
        progress.warn(
            f"{len(names)} of {len(tally.sources)} images were left out ({listed(names)}); the"
            " sidecar lists them with the reasons"
        )
    flush_to_disk()
    work.finish(
        tally.written, facts_of(tally, preprocessor, model), extra_inputs={"images": tally.sources}
    )
    progress.say(
        f"preprocess: {len(tally.sources) - len(tally.skipped)} samples in {work.artefact}"
    )


def facts_of(tally: Tally, preprocessor: Preprocessor, model: str | None) -> dict[str, Any]:
    """What a sidecar says about a set of samples."""
    recipe = preprocessor.recipe
    return {
        "model": model,
        "recipe": as_data(recipe),
        "recipe_sha256": recipe_hash(recipe),
        "normalised": recipe.normalises,
        "samples": len(tally.sources) - len(tally.skipped),
        "core": preprocessor.core,
        "decoders": decoders(),
        "fingerprint": fingerprint(preprocessor),
        "clipped_to_8_bits": tally.warner.count,
        "skipped": tally.skipped,
    }


def work_of(
    stage: str, artefact: Path, images: Sequence[Path], recipe: Recipe, skip_bad: bool
) -> Work:
    """The work on an artefact made from images: its bytes depend on the images, the recipe's steps,
    and the decoding libraries.
    """
    steps = {key: value for key, value in as_data(recipe).items() if key != "name"}
    opencv = (
        ("opencv-python-headless", "opencv-python")
        if "opencv" in (recipe.decoder, recipe.resizer)
        else ()
    )
    parameters = {"recipe": steps, "skip_bad": skip_bad, "decoders": decoders()}
    return Work(
        stage,
        artefact,
        inputs={"images": images},
        parameters=parameters,
        packages=("Pillow", "numpy", *opencv),
        revision=REVISION,
    )


def images_digest(images: Sequence[Path]) -> str:
    """A digest of names, sizes, times and inodes: one run's images are those of the run that it
    continues, or it starts anew.
    """
    digest = hashlib.sha256()
    for path in images:
        stat = path.stat()
        digest.update(
            f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\0{stat.st_ino}\n".encode(
                "utf-8", "surrogateescape"
            )
        )
    return digest.hexdigest()


def refuse_blanks(images: Sequence[Path]) -> None:
    """Refuse names with blanks before the work, not after it: an info list cannot hold them."""
    blank = [p.name for p in images if any(c.isspace() for c in sample_id(p))]
    if blank:
        raise InputError(
            f"{len(blank)} images have blanks in their names ({listed(blank)}), which an info list"
            " cannot hold; rename them, or write a packed folder with --pack, which takes any name"
        )
