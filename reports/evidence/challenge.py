"""The challenge: samples that the sender could not choose go through the whole port again, from the
images, on this host.

Verifying follows hashes, which somebody who makes everything anew can give to any bytes. Running
again needs no trust in the directory: the images are preprocessed by the recipe, the exported model
and PyTorch answer, and what they answer must be what the directory holds.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from portproof.core import progress
from portproof.core.errors import InputError
from portproof.core.files import sha256_of
from portproof.manifest import sample_id
from portproof.metrics.accuracy.label_file import read_labels
from portproof.proof.lineage import Stage
from portproof.reports.evidence.draw import Escape, draw, escapes, seed_of
from portproof.reports.evidence.findings import Finding, changed, not_derived
from portproof.reports.evidence.repeat import Again, again, exported_again
from portproof.reports.evidence.retime import timed_again
from portproof.rundir.settings import Settings


@dataclass(frozen=True)
class Asked:
    """What the reviewer asks for: how many samples (None: all, and the export too), words of their
    own, their own copies of the images, the labels and the weights, and whether the code of a card
    may run.
    """

    count: int | None
    nonce: str = ""
    images: Path | None = None
    labels: Path | None = None
    weights: Path | None = None
    runs_code: bool = False
    times: bool = True


class Challenge(msgspec.Struct, frozen=True):
    """What was run again. ``drawn``: the ids of the samples, of ``samples`` in all, by ``seed``."""

    seed: str
    nonce: str
    samples: int
    drawn: list[str]
    again: list[Again]
    escapes: list[Escape]

    @property
    def lines(self) -> Iterator[str]:
        """For people, a line each."""
        yield f"challenge: {len(self.drawn)} of {self.samples} samples, drawn by {self.seed[:16]}"
        yield from (f"run again    {one.text}" for one in self.again)
        if any(one.stage == "infer" for one in self.again):
            yield from (
                f"escape       a forgery of {e.forged} samples escapes with a probability of"
                f" {100 * e.probability:.2g} %"
                for e in self.escapes
            )


@dataclass
class Course:
    """The challenge of one run directory, finding by finding."""

    run_dir: Path
    stages: Sequence[Stage]
    settings: Settings
    asked: Asked
    findings: list[Finding] = field(default_factory=list)

    def run(self) -> Challenge:
        """Draw, run again, and compare."""
        seed = seed_of(self.run_dir, self.asked.nonce)
        images = self._images()
        drawn = draw(images, seed, self.asked.count or len(images))
        self._own_copies(images, drawn)
        repeated = list[Again]()
        with tempfile.TemporaryDirectory(prefix="portproof-challenge-") as folder:
            results = again(self, {i: images[i] for i in drawn}, Path(folder))
            for one in results:
                repeated.append(one)
                progress.say(f"challenge: {one.text}")
            if self.asked.count is None:
                repeated += exported_again(self, Path(folder))
            repeated += timed_again(self) if self.asked.times else ()
        margin = (self.settings.margin_pp or 1.0) / 100
        chances = escapes(len(images), len(drawn), margin)
        return Challenge(seed, self.asked.nonce, len(images), drawn, repeated, chances)

    def _images(self) -> dict[str, Path]:
        """The image of every sample: the reviewer's own, or that which the preprocessing read."""
        found = {}
        for stage in self.made_by("preprocess"):
            if stage.artefact != "prep":
                continue
            for record in stage.proof.inputs.get("images", []):
                path = self.run_dir / record.path
                found[sample_id(path)] = (
                    self.asked.images / path.name if self.asked.images else path
                )
        if not found:
            raise InputError(
                f"a challenge begins with the images, and no preprocessing of '{self.run_dir}'"
                " names any: this port cannot be challenged"
            )
        return found

    def made_by(self, name: str) -> list[Stage]:
        """The stages of one kind."""
        return [stage for stage in self.stages if stage.proof.stage == name]

    def _own_copies(self, images: dict[str, Path], drawn: Sequence[str]) -> None:
        """The reviewer's own images, labels and weights against the hashes that were recorded."""
        recorded = {
            sample_id(r.path): r
            for stage in self.made_by("preprocess")
            for r in stage.proof.inputs.get("images", [])
        }
        for name in drawn if self.asked.images else ():
            path = images[name]
            if not path.is_file():
                raise InputError(f"--images has no '{path.name}', which sample '{name}' needs")
            if sha256_of(path) != recorded[name].sha256:
                self.findings.append(
                    changed(recorded[name].path, f"it is not the image '{path}' of --images")
                )
        if self.asked.labels:
            self._own_labels(self.asked.labels)
        for stage in self.made_by("export") if self.asked.weights else ():
            for record in stage.proof.inputs["weights"]:
                if sha256_of(self.asked.weights or "") != record.sha256:
                    what = f"the weights of the port are not '{self.asked.weights}' of --weights"
                    self.findings.append(changed(record.path, what))

    def _own_labels(self, own: Path) -> None:
        mine = read_labels(own)
        theirs = read_labels(self.run_dir / self.settings.labels)
        other = [i for i, label in theirs.items() if mine.get(i) != label]
        if other:
            self.findings.append(
                changed(
                    self.settings.labels,
                    f"{len(other)} of {len(theirs)} labels are not those of '{own}' (the first is"
                    f" that of '{other[0]}')",
                )
            )

    def unprovable(self, file: str, why: str) -> None:
        """Note what could not be run again."""
        self.findings.append(not_derived(file, why))
