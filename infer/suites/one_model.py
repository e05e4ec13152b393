"""One model of a suite: its files, and one bench of all subjects. A subject that cannot be run
keeps nobody back: the others are timed without it, and it says why.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from portproof import backend as backends
from portproof.core import progress
from portproof.core.errors import InputError, MissingPackageError, PortProofError
from portproof.core.text import listed
from portproof.infer.load_test.job import Traffic, load_test
from portproof.infer.load_test.record import LoadTest
from portproof.infer.suites.artefacts import Artefacts
from portproof.infer.suites.first_five import top_n
from portproof.infer.suites.isolation import is_absent
from portproof.infer.suites.page import Found, Left, from_page
from portproof.infer.suites.suite_file import Suite, SuiteModel, SuiteSubject
from portproof.infer.timing.job import bench, job_for
from portproof.infer.timing.protocol import Plan
from portproof.infer.timing.subject import Subject
from portproof.measurement import Performance
from portproof.proof.sidecar import proof_of, versions_of

T = TypeVar("T")

_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
#: One call is enough to see whether a subject runs at all.
_ONE_CALL = Plan(blocks=1, iterations=1, warmup=1)


def time_model(suite: Suite, entry: SuiteModel, folder: Path, plan: Plan | None) -> Found:
    """Make what is missing of a model in its folder, time its subjects, and say what was found.

    Raises :class:`PortProofError` when no subject can be timed.
    """
    made = Artefacts(suite, entry, folder).without_checksum()
    entry, batches = made.entry, made.entry.batches or suite.batches
    subjects, left = _subjects(suite, made, batches)
    info = _info(suite, entry, made)
    timed = _Bench(suite, entry, info)
    load, performance = None, None
    out = folder / ("perf.json" if suite.requests is None else "load.json")
    fit, still_left = timed.without_those_left(subjects, out)
    if suite.requests is None:
        performance, unfit = timed.of_those_that_run(fit, lambda sides: timed.of(sides, plan, out))
    else:
        load, unfit = timed.of_those_that_run(fit, lambda sides: timed.under_load(sides, out))
    unfit = still_left + unfit
    counted = {}
    if suite.top_n is not None:
        running = [s for s in subjects if s.label not in {x.label for x in unfit}]
        counted = top_n(made, running, batches, suite.top_n, folder / "top_n")
    return Found(
        performance or _told_by(load),
        [replace(x, why=from_page(x.why, folder.parent)) for x in left + unfit],
        f"real: {_shown(info, folder)}" if info else f"{suite.inputs} (the suite states none)",
        "random (seed 0; the suite states none)" if made.weights_are_random else "as stated",
        _comparison(made.onnx_file),
        _parameters(folder, made),
        counted,
        load,
    )


def _shown(info: Path, folder: Path) -> str:
    """An info list as a page names it: one that the suite made, from the page's own folder."""
    path, out = info.absolute(), folder.absolute().parent
    return str(path.relative_to(out)) if path.is_relative_to(out) else str(info)


def _subjects(
    suite: Suite, made: Artefacts, batches: tuple[int, ...]
) -> tuple[list[Subject], list[Left]]:
    """The subjects with their files, and those for which none can be made. Without PyTorch's model
    itself there is nothing to compare: that is the model's failure.
    """
    subjects, left = [], []
    for wanted in suite.subjects:
        try:
            _check_installed(wanted)
            subjects.append(made.subject(wanted, batches))
        except PortProofError as error:
            if len(suite.subjects) == 1 or wanted.backend == "eager":
                raise
            left.append(_left(wanted.label, error))
    return subjects, left


def _told_by(test: LoadTest | None) -> Performance:
    """What a load test says beside its figures."""
    assert test is not None
    return Performance(
        measurements=[],
        status=test.status,
        reasons=test.reasons,
        wrong=test.wrong,
        environment=test.environment,
        versions=test.versions,
        simulated=test.simulated,
    )


def _check_installed(wanted: SuiteSubject) -> None:
    """Cheap, and before anything is made: whether the runtime is there at all."""
    for package in backends.find(wanted.backend).PACKAGES:
        if package not in versions_of([package]):
            raise MissingPackageError(package, f"the subject '{wanted.label}'", wanted.backend)


def _info(suite: Suite, entry: SuiteModel, made: Artefacts) -> Path | None:
    """The list of real inputs, where the suite states any."""
    stated = suite.images is not None or entry.info is not None
    return made.samples(0) if stated else made.examples()


@dataclass(frozen=True, slots=True)
class _Bench:
    """How the subjects of a model are timed; ``info``: the list of real inputs, where there is
    one.
    """

    suite: Suite
    entry: SuiteModel
    info: Path | None

    def of(self, subjects: Sequence[Subject], plan: Plan | None, out: Path | None) -> Performance:
        """One bench of them."""
        labels = {s.label for s in subjects}
        over = [x for x in self.suite.over or (self.suite.subjects[0].label,) if x in labels]
        return bench(
            subjects,
            self.entry.batches or self.suite.batches,
            card=self.entry.model,
            inputs="real" if self.info else self.suite.inputs,
            info=self.info,
            plan=plan,
            over=over if len(subjects) > 1 else (),
            out=out,
        )

    def under_load(self, subjects: Sequence[Subject], out: Path) -> LoadTest:
        """All clients of each in turn, in a closed loop."""
        job = job_for(
            subjects,
            self.entry.batches or self.suite.batches,
            card=self.entry.model,
            inputs="real" if self.info else self.suite.inputs,
            info=self.info,
            common=Subject("", "", ""),
        )
        traffic = Traffic(clients=self.suite.clients or 1, requests=self.suite.requests or 1)
        return load_test(job, traffic, out)

    def without_those_left(
        self, subjects: Sequence[Subject], out: Path
    ) -> tuple[list[Subject], list[Left]]:
        """The subjects without those that an earlier run left out of ``out`` and that still do not
        run: what it measured of the others stays.
        """
        known = _labels_in(out)
        missing = [s for s in subjects if s.label not in known]
        if len(missing) == len(subjects):
            return list(subjects), []
        running, left = self._alone(missing)
        return [s for s in subjects if s not in missing or s in running], left

    def of_those_that_run(
        self, subjects: Sequence[Subject], timed: Callable[[Sequence[Subject]], T]
    ) -> tuple[T, list[Left]]:
        """What ``timed`` gives of all; where that fails, of the others than the one that the error
        names, or of those that run alone, and of the rest the reason.
        """
        try:
            return timed(subjects), []
        except PortProofError as error:
            if len(subjects) < 2:
                raise
            named = [s for s in subjects if str(error).startswith(f"{s.label}: ")]
            if len(named) == 1:
                others = [s for s in subjects if s is not named[0]]
                first = _left(named[0].label, error)
                found, left = self.of_those_that_run(others, timed)
                return found, [first, *left]
            progress.say(f"suite: {error}; each subject is now tried alone")
            running, left = self._alone(subjects)
            if not left or not running:
                raise
            return timed(running), left

    def _alone(self, subjects: Sequence[Subject]) -> tuple[list[Subject], list[Left]]:
        """Those that run alone, and those that do not."""
        left, running = [], []
        for subject in subjects:
            try:
                self.of([subject], _ONE_CALL, None)
                running.append(subject)
            except PortProofError as alone:
                left.append(_left(subject.label, alone))
        return running, left


def _labels_in(out: Path) -> set[str]:
    """The labels of what was measured in a file; none where its sidecar cannot be read."""
    try:
        proof = proof_of(out)
    except InputError:
        return set()
    return {s["label"] for s in proof.parameters["subjects"]} if proof else set()


def _left(label: str, error: PortProofError) -> Left:
    why = str(error).removeprefix(f"{label}: ")
    progress.warn(f"{label} is left out: {why}")
    return Left(label, why, is_absent(error))


def _comparison(onnx_file: Path) -> str | None:
    """What the exporter's check found, in words; equal outputs that hardly vary prove nothing."""
    proof = proof_of(onnx_file)
    if proof is None:
        return None
    facts = proof.facts
    checked = facts["batches_checked"]
    where = ("batch " if len(checked) == 1 else "batches ") + " and ".join(map(str, checked))
    if "sizes_checked" in facts:
        where += f" and the sizes {listed(facts['sizes_checked'])}"
    largest = (
        f"largest difference {facts['max_difference']:.2g}, {facts['allowed_difference']:.2g} is"
        " allowed"
    )
    if not facts["proves"]:
        return (
            f"compared with PyTorch at {where}, which proves nothing, since the outputs hardly vary"
            f" with these weights ({largest})"
        )
    return f"equal to PyTorch at {where}: {largest}"


def _parameters(folder: Path, made: Artefacts) -> int | None:
    """How many trained numbers the weights file holds, without the statistics of batch
    normalisation; None when the suite made none.
    """
    if not (folder / "weights.pth").is_file():
        return None
    import torch

    state = torch.load(folder / "weights.pth", weights_only=True, mmap=True)
    return sum(int(t.numel()) for name, t in state.items() if not name.endswith(_STATISTICS))
