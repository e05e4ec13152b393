"""The subjects of a bench: what is timed, and how each is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from portproof.backend import LoadRequest
from portproof.core import progress
from portproof.core.errors import InputError
from portproof.core.text import listed


@dataclass(frozen=True, slots=True)
class Subject:
    """One side of a bench. ``backend``: who executes it, a backend, a vendor tool or trtexec.
    ``file`` may hold ``{batch}``; the rest as in :class:`portproof.backend.LoadRequest`.
    """

    label: str
    backend: str
    file: str
    device: str | None = None
    precision: str | None = None
    threads: int | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    def model(self, batch: int) -> Path:
        """The model file for a batch."""
        return Path(self.file.replace("{batch}", str(batch)))

    def request(self, batch: int, card: str | None) -> LoadRequest:
        """How to load it. Runtimes may spin, as they do by default, since no neighbour is timed at
        the same time.
        """
        return LoadRequest(
            batch,
            self.device,
            self.precision,
            self.threads,
            card,
            spinning=True,
            options=dict(self.options),
        )


def parse_subject(text: str) -> Subject:
    """A subject from ``LABEL=BACKEND:FILE``.

    >>> parse_subject("port=om:m_bs{batch}.om").model(4)
    PosixPath('m_bs4.om')
    """
    label, equals, rest = text.partition("=")
    backend, colon, file = rest.partition(":")
    if not (label and equals and backend and colon and file):
        raise InputError(
            f"the subject is '{text}', LABEL=BACKEND:FILE was expected, as in port=ort:model.onnx"
        )
    return Subject(label, backend, file)


def configured(subjects: Sequence[Subject], common: Subject) -> list[Subject]:
    """The subjects with what is common to all; an option ``LABEL.NAME`` is of one subject, and NAME
    may be device, precision or threads too.
    """
    complete = []
    own = {key: value for key, value in common.options.items() if "." in key}
    shared = {key: value for key, value in common.options.items() if "." not in key}
    for subject in subjects:
        mine = {
            key.split(".", 1)[1]: value
            for key, value in own.items()
            if key.split(".", 1)[0] == subject.label
        }
        threads = mine.pop("threads", None) or subject.threads or common.threads
        if not str(threads or 1).isdigit():
            raise InputError(
                f"{subject.label}: threads is '{threads}', a whole number was expected"
            )
        complete.append(
            replace(
                subject,
                device=mine.pop("device", None) or subject.device or common.device,
                precision=mine.pop("precision", None) or subject.precision or common.precision,
                threads=int(threads) if threads else None,
                options=shared | dict(subject.options) | mine,
            )
        )
    labels = [s.label for s in subjects]
    unknown = sorted({key.split(".", 1)[0] for key in own} - set(labels))
    if unknown:
        raise InputError(
            f"an option is for '{unknown[0]}', but the subjects are {', '.join(labels)}"
        )
    return complete


def check_labels(subjects: Sequence[Subject]) -> None:
    """Refuse subjects of one label, and none at all."""
    labels = [s.label for s in subjects]
    double = sorted({label for label in labels if labels.count(label) > 1})
    if not subjects or double:
        raise InputError(
            f"every subject needs a label of its own, {listed(double)} is given twice"
            if double
            else "at least one subject was expected"
        )


def respelled(subjects: Sequence[str], runner: str) -> list[str]:
    """Subjects of the old ``--runner``, whose backend is ``om``, with the runner in its place; one
    line says so.
    """
    new = []
    for text in subjects:
        subject = parse_subject(text)
        if subject.backend not in ("om", runner):
            raise InputError(
                f"--runner {runner} times .om files, LABEL=om:FILE was expected for"
                f" '{subject.label}'"
            )
        new.append(f"{subject.label}={runner}:{subject.file}")
    progress.say(f"--runner is the old spelling here; the new one is: {' '.join(new)}")
    return new
