"""The subjects of a bench: what is timed, and how each is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from portproof import backend as backends
from portproof.backend import LoadRequest
from portproof.core.errors import InputError
from portproof.core.text import listed


@dataclass(frozen=True, slots=True)
class Subject:
    """One side of a bench. ``file`` may hold ``{batch}``; the rest as in
    :class:`portproof.backend.LoadRequest`.
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
        """How to load it. Runtimes may spin: it is what they ship with, and no neighbour is timed
        meanwhile.
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
            f"'{text}' is no subject: LABEL=BACKEND:FILE was expected, as in port=ort:model.onnx"
        )
    return Subject(label, backend, file)


def configured(subjects: Sequence[Subject], common: Subject) -> list[Subject]:
    """The subjects with what is common to all; an option ``LABEL.NAME`` is of one subject, and NAME
    may be device, precision or threads too.
    """
    done = []
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
        done.append(
            replace(
                subject,
                device=mine.pop("device", None) or subject.device or common.device,
                precision=mine.pop("precision", None) or subject.precision or common.precision,
                threads=int(threads) if threads else None,
                options=shared | dict(subject.options) | mine,
            )
        )
    labels = [s.label for s in subjects]
    strangers = sorted({key.split(".", 1)[0] for key in own} - set(labels))
    if strangers:
        raise InputError(
            f"an option is for '{strangers[0]}', but the subjects are {', '.join(labels)}"
        )
    return done


def check_subjects(subjects: Sequence[Subject], batches: Sequence[int]) -> None:
    """Refuse labels that stand twice, unknown backends, and files of the wrong kind, before any
    process is started.
    """
    labels = [s.label for s in subjects]
    double = sorted({label for label in labels if labels.count(label) > 1})
    if not subjects or double:
        raise InputError(
            f"every subject needs a label of its own, {listed(double)} stands twice"
            if double
            else "at least one subject was expected"
        )
    for subject in subjects:
        for batch in batches:
            backends.check_suffix(subject.backend, subject.model(batch))
