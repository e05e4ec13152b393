"""A suite: several models, each benched with the same subjects at the same batches, and one table
of all of them.

A suite file names model cards, what executes them, and the batch sizes. For each model the folder
``<out>/<model>/`` holds ``weights.pth`` (random but seeded, unless weights are given),
``model.onnx`` and ``perf.json``, each with its sidecar, so that a suite that was interrupted
continues; ``<out>/README.md`` is the table.
"""

from __future__ import annotations

import re
import statistics
from pathlib import Path
from typing import NamedTuple

import msgspec

from portproof import backend as backends
from portproof.core import progress
from portproof.core.errors import InputError, PortProofError
from portproof.core.files import existing_file, write_text
from portproof.core.text import printable
from portproof.core.yamlfile import data_file, load_yaml
from portproof.infer.runtimes.model_files import builder_packages
from portproof.infer.timing.job import bench
from portproof.infer.timing.processes.feed import Kind
from portproof.infer.timing.protocol import Plan
from portproof.infer.timing.subject import Subject
from portproof.measurement import Measurement, Performance
from portproof.proof.work import Work
from portproof.rehearsal import MARK

_SEED = 0


class SuiteSubject(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One column: as in :class:`portproof.infer.timing.subject.Subject`, without a file, since it
    is each model's weights or ONNX file.
    """

    label: str
    backend: str
    device: str | None = None
    precision: str | None = None
    threads: int | None = None
    options: dict[str, str] = {}


class Suite(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The content of a suite file. ``weights``: a folder that holds the files which the cards name,
    or None for random ones.
    """

    about: str
    models: tuple[str, ...]
    subjects: tuple[SuiteSubject, ...]
    batches: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    inputs: Kind = "random"
    weights: str | None = None
    opset: int = 11


def read_suite(path: str | Path) -> Suite:
    """Read a suite file; :class:`InputError` names the line that is wrong."""
    suite = load_yaml(data_file("suites", str(path), "suite", "or give a path"), Suite, "suite")
    if not suite.models or not suite.subjects or not suite.batches:
        raise InputError(
            f"suite '{path}': at least one of each was expected under 'models', 'subjects' and"
            " 'batches'"
        )
    for subject in suite.subjects:
        backends.find(subject.backend)
    return suite


class Benched(NamedTuple):
    """What a suite found: the models that ``failed``, and the subjects that answered ``wrong``, a
    sentence each.
    """

    failed: list[str]
    wrong: list[str]


def run_suite(
    path: str | Path, out: Path, only: list[str] | None = None, plan: Plan | None = None
) -> Benched:
    """Bench the models of a suite (``only`` some of them) and write the table of all that are done.

    A model that cannot be exported or run does not keep the others from being benched.
    """
    suite = read_suite(path)
    unknown = sorted(set(only or []) - set(suite.models))
    if unknown:
        raise InputError(
            f"suite '{path}' has no model '{unknown[0]}'; it has {', '.join(suite.models)}"
        )
    failures = []
    done: dict[str, Performance] = {}
    for model in suite.models:
        if only and model not in only:
            continue
        try:
            done[model] = _bench_model(suite, model, out / folder_of(model), plan)
        except PortProofError as error:
            failures.append(f"{model}: {error}")
            progress.warn(failures[-1])
        write_text(out / "README.md", table(suite, done, failures))
    wrong = [f"{model}: {why}" for model, p in done.items() for why in p.wrong]
    return Benched(failures, wrong)


def folder_of(model: str) -> str:
    """A model's folder inside the suite's.

    >>> folder_of("timm:regnety_016.pycls_in1k")
    'timm_regnety_016.pycls_in1k'
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "_", model).lstrip(".")


def _bench_model(suite: Suite, model: str, folder: Path, plan: Plan | None) -> Performance:
    from portproof.convert.export.export import export

    weights = _weights(suite, model, folder)
    onnx_file = folder / "model.onnx"
    takes_onnx = {s.label: ".onnx" in backends.find(s.backend).SUFFIXES for s in suite.subjects}
    if any(takes_onnx.values()):
        export(weights, onnx_file, model, opset=suite.opset)
    subjects = [
        Subject(
            s.label,
            s.backend,
            str(onnx_file if takes_onnx[s.label] else weights),
            s.device,
            s.precision,
            s.threads,
            s.options,
        )
        for s in suite.subjects
    ]
    return bench(
        subjects,
        suite.batches,
        card=model,
        inputs=suite.inputs,
        plan=plan,
        out=folder / "perf.json",
    )


def _weights(suite: Suite, model: str, folder: Path) -> Path:
    """The model's weights: the file that its card names, or random ones, made once."""
    from portproof.preprocess.cards.resolve import resolve_card

    card = resolve_card(model)
    if suite.weights is not None:
        if card.weights.file is None:
            raise InputError(
                f"the card '{model}' names no weights file, and the suite takes weights from"
                f" '{suite.weights}'"
            )
        return existing_file(Path(suite.weights, card.weights.file), "weights")
    path = folder / "weights.pth"
    work = Work(
        "weights",
        path,
        inputs={},
        parameters={"card": model, "seed": _SEED},
        packages=("torch", *builder_packages(model)),
    )
    if not work.is_done():
        import torch

        from portproof.convert.pytorch.models import build_model
        from portproof.core.files import atomic_writer

        work.begin()
        torch.manual_seed(_SEED)
        with atomic_writer(path) as file:
            torch.save(build_model(card, None).state_dict(), file)
        work.finish([path])
    return path


def table(suite: Suite, done: dict[str, Performance], failures: list[str]) -> str:
    """The Markdown table: a section a model, a column a subject, mean latency in ms."""
    any_done = next(iter(done.values()), None)
    mark = f" ({MARK}: a simulated device)" if any(p.simulated for p in done.values()) else ""
    lines = [f"# Benchmark{mark}", "", printable(suite.about), "", "## Environment", ""]
    if any_done:
        lines += ["| Package | Version |", "|---|---|"]
        lines += [
            f"| {name} | {version} |"
            for name, version in (any_done.versions | any_done.environment).items()
        ]
    lines += [
        "",
        "## Performance",
        "",
        "Mean latency of a call in milliseconds, host call to host result, over all counted calls.",
        "",
    ]
    for number, (model, performance) in enumerate(done.items(), start=1):
        lines += [f"### {number}. {model}", "", *_section(suite, performance), ""]
    return "\n".join(lines + [f"Failed: {printable(f)}" for f in failures]).rstrip() + "\n"


def _section(suite: Suite, performance: Performance) -> list[str]:
    labels = [s.label for s in suite.subjects]
    cells = {
        (m.label, m.batch): _mean_ms(m) for m in performance.measurements if m.boundary == "call"
    }
    rows = [
        f"| Batch size | {' | '.join(f'{label} (ms)' for label in labels)} |",
        "|---|" + "---|" * len(labels),
    ]
    rows += [
        f"| {b} | {' | '.join(cells.get((label, b), '') for label in labels)} |"
        for b in suite.batches
    ]
    return [
        *rows,
        *(["", f"Wrong answers: {'; '.join(performance.wrong)}."] if performance.wrong else []),
        *(["", f"Unstable: {'; '.join(performance.reasons)}."] if performance.reasons else []),
    ]


def _mean_ms(measurement: Measurement) -> str:
    return f"{1e3 * statistics.fmean(measurement.valid):.2f}" if measurement.valid else ""
