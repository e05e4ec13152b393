"""Print the JSON Schema of a file format; without a name, list the formats."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

from portproof.core.arguments import Parser, run_stage

DIALECT = "https://json-schema.org/draft/2020-12/schema"


@dataclass(frozen=True)
class Format:
    """A published file format: its record type (``module:name``), and where such files are."""

    record: str
    where: str
    a_list: bool = False


#: Records are named, not imported: most belong to stages, which the spine does not know, and a
#: listing must not need numpy.
FORMATS: dict[str, Format] = {
    "proof": Format("portproof.proof.sidecar:Proof", "<artefact>.proof.json, the sidecar"),
    "port": Format("portproof.rundir.settings:Settings", "port.yaml"),
    "card": Format("portproof.card:Card", "catalog/models/<name>.yaml"),
    "recipe": Format(
        "portproof.recipe:Recipe", "catalog/recipes/<name>.yaml, and 'recipe' of a model card"
    ),
    "target": Format("portproof.target:Target", "catalog/targets/<name>.yaml"),
    "perf": Format("portproof.measurement:Performance", "<label>/perf.json"),
    "compare": Format("portproof.metrics.paired.compare:Comparison", "compare.json"),
    "evaluation": Format(
        "portproof.metrics.evaluation.evaluate:Evaluation", "result.json of 'portproof evaluate'"
    ),
    "compare-task": Format(
        "portproof.metrics.paired.task_figures:TaskComparison",
        "what 'portproof compare --task' writes",
    ),
    "report": Format("portproof.reports.port.seal:Report", "report/report.json"),
    "verify": Format(
        "portproof.reports.evidence.run_dir:Verification", "what 'portproof verify --json' prints"
    ),
    "throughput": Format(
        "portproof.logs.logged:Run", "what 'portproof throughput --json' prints", a_list=True
    ),
    "doctor": Format(
        "portproof.health.host:Check", "what 'portproof doctor --json' prints", a_list=True
    ),
    "why": Format(
        "portproof.rundir.answers:Answer", "what 'portproof why --json' prints", a_list=True
    ),
}


def schema_of(name: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a format; :class:`portproof.core.errors.InputError` lists the
    names there are.

    A format with a ``schema`` key names its version there, and the JSON Schema accepts only that
    one.
    """
    import importlib

    import msgspec

    from portproof.core.errors import InputError

    if name not in FORMATS:
        raise InputError(f"there is no file format '{name}'; there are {', '.join(FORMATS)}")
    module, _, record = FORMATS[name].record.partition(":")
    kind = getattr(importlib.import_module(module), record)
    found: dict[str, Any] = msgspec.json.schema(kind)
    version = getattr(importlib.import_module(module), "SCHEMA", None)
    properties = found["$defs"][record]["properties"]
    if "schema" in properties and version:
        properties["schema"] = {"const": version}
    if FORMATS[name].a_list:
        found = {"type": "array", "items": {"$ref": found["$ref"]}, "$defs": found["$defs"]}
    return {"$schema": DIALECT, "title": f"PortProof: {FORMATS[name].where}", **found}


def parser() -> Parser:
    """The command line."""
    p = Parser(
        "Print the JSON Schema of a file format of PortProof.",
        example="portproof schema perf > perf.schema.json",
    )
    p.add_argument(
        "format", metavar="FORMAT", nargs="?", help="the format; without it, the formats are listed"
    )
    p.add_argument(
        "--out",
        metavar="DIR",
        help="write <format>.schema.json into this folder, for every format or the one named",
    )
    return p


def work(options: argparse.Namespace) -> int:
    """Print or write the schemas; return the exit code."""
    if not options.format and not options.out:
        width = max(map(len, FORMATS))
        print("\n".join(f"{name:<{width}}  {form.where}" for name, form in FORMATS.items()))
        return 0
    import json
    from pathlib import Path

    from portproof.core.files import write_text

    for name in [options.format] if options.format else FORMATS:
        text = json.dumps(schema_of(name), indent=1, ensure_ascii=False)
        if options.out:
            write_text(Path(options.out) / f"{name}.schema.json", text + "\n")
        else:
            print(text)
    return 0


if __name__ == "__main__":
    run_stage(parser, work)
