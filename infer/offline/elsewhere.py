"""``--runner`` and ``--devices`` of ``run.py`` and ``bench.py``: work that a vendor tool does, or
several chips.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from portproof.core.arguments import Parser, not_negative
from portproof.core.errors import InputError

if TYPE_CHECKING:
    from portproof.measurement import Performance


def add_runner_option(parser: Parser) -> None:
    """Add ``--runner`` and ``--devices``."""
    group = parser.add_argument_group("Ascend")
    group.add_argument(
        "--runner",
        metavar="TOOL",
        help="who executes .om models: om (this process, default), ais_bench, benchmark or msame",
    )
    parser.add_values(
        "--devices",
        type=not_negative,
        metavar="N",
        help="several NPU devices at the same time, such as a card's: 0 1 2 3",
    )


def infer_on_devices(options: argparse.Namespace) -> None:
    """``run.py`` on several devices: a run of its own for each."""
    from portproof.infer.offline.shards import run_sharded

    if options.device or options.perf_file or options.images or options.info is None:
        raise InputError(
            "--devices needs an info list (--info), and neither --device nor --perf-file; each"
            " device's rate is in the sidecar"
        )
    same = {
        "--runner": options.runner,
        "--backend": options.backend,
        "--model": options.model,
        "--precision": options.precision,
    }
    words = ["--batch", str(options.batch), "--format", options.format]
    words += [word for flag, value in same.items() if value for word in (flag, value)]
    words += [word for name, value in options.option for word in ("--option", f"{name}={value}")]
    run_sharded(options.model_file, options.info, options.out, options.devices, words)


def bench_on_devices(options: argparse.Namespace) -> Performance:
    """``bench.py`` on several devices that work together."""
    from portproof.infer.timing.board import CardBench, bench_card
    from portproof.infer.timing.feed import Feeding
    from portproof.infer.timing.subject import Subject, configured, parse_subject

    if len(options.subjects) != 1 or options.device or wants_tool(options) or options.clients != 1:
        raise InputError(
            "--devices times one subject in this process (--runner om), without --device and"
            " --clients"
        )
    common = Subject("", "", "", None, options.precision, None, dict(options.option))
    (subject,) = configured([parse_subject(options.subjects[0])], common)
    feeding = Feeding(options.inputs, options.info, {})
    batches = tuple(dict.fromkeys(options.batch))
    return bench_card(
        CardBench(subject, batches, tuple(options.devices), options.model, feeding),
        Path(options.out),
    )


def wants_tool(options: argparse.Namespace) -> bool:
    """Whether a vendor tool is to do the work."""
    return options.runner not in (None, "om")


def infer_by_tool(options: argparse.Namespace) -> None:
    """``run.py`` by a vendor tool."""
    from portproof.infer.offline.by_tool import run_with_tool

    if options.images or options.info is None or Path(options.info).is_dir():
        raise InputError(
            f"--runner {options.runner} reads single files: give an info list with --info"
        )
    _refuse(options, ("backend", "precision", "threads", "provider"))
    run_with_tool(
        options.runner,
        options.model_file,
        options.info,
        options.out,
        batch=options.batch,
        form=options.format,
        device=options.device,
        options=dict(options.option),
        perf_file=options.perf_file,
    )


def bench_by_tool(options: argparse.Namespace) -> Performance:
    """``bench.py`` by a vendor tool."""
    from portproof.infer.timing.by_tool import ROUNDS, ToolBench, bench_with_tool

    _refuse(options, ("precision", "threads", "provider"))
    if options.clients != 1:
        raise InputError(f"--runner {options.runner} has one client; leave --clients out")
    plan = ToolBench(
        options.runner,
        options.subjects,
        tuple(dict.fromkeys(options.batch)),
        options.model,
        options.inputs,
        options.info,
        options.device,
        dict(options.option),
        options.iterations or ROUNDS,
        options.blocks,
    )
    return bench_with_tool(plan, Path(options.out))


def _refuse(options: argparse.Namespace, names: tuple[str, ...]) -> None:
    given = [name for name in names if getattr(options, name, None)]
    if given:
        raise InputError(
            f"--{given[0]} is for backends in this process and has no meaning for --runner"
            f" {options.runner}; leave it out"
        )
