"""Time models, in turn or by a vendor's tool, and write every call's seconds to perf.json."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any

# Run from a clone: make `portproof` importable, and nothing else of the checkout.
if not __package__:
    sys.path[0] = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "src")

from portproof.core.arguments import Parser, positive, run_stage, seconds, share
from portproof.infer.runtimes.load_options import (
    VENDOR_TOOLS,
    add_backend_options,
    add_npu_options,
    backend_options,
)

if TYPE_CHECKING:
    from portproof.infer.load_test.job import Traffic


def parser() -> Parser:
    """The command line."""
    p = Parser(
        "Time models: by backends, against each other in alternating blocks, one worker process a"
        " subject; by a vendor tool; or by trtexec. BACKEND says which. A subject that answers"
        " wrongly has no rate. Exit code 1 if one does, 4 if the clock cannot be trusted.",
        example=(
            "python infer/bench.py port=ort:model.onnx reference=eager:weights.pth --model resnet18"
            " --batch 1,4,8 --out perf.json"
        ),
    )
    p.add_argument(
        "subjects",
        nargs="+",
        metavar="LABEL=BACKEND:FILE",
        help=(
            f"what to time: BACKEND is ort, eager, om ...; {', '.join(VENDOR_TOOLS)} (.om); trtexec"
            " (.plan). FILE may hold {batch}"
        ),
    )
    p.add_values(
        "--over",
        default=[],
        metavar="LABEL",
        help="ratios: every other subject over each of these (default: the first over the others)",
    )
    p.add_values("--batch", type=positive, default=[1], metavar="N", help="batch sizes (default 1)")
    p.add_card_option()
    p.add_argument(
        "--inputs",
        choices=("random", "zeros", "real"),
        help="default: real with --info, else random",
    )
    p.add_argument("--info", metavar="FILE", help="info list of the real inputs")
    _add_length(p)
    _add_traffic(p)
    p.add_argument(
        "--profile",
        action="store_true",
        help="afterwards say why it is slow: the time of each operator (ort, eager, inductor)",
    )
    p.add_argument(
        "--out",
        required=True,
        metavar="PERF.json",
        help="the measurement file; logs of tools are kept beside it",
    )
    add_backend_options(p)
    add_npu_options(p, "the old spelling of LABEL=TOOL:FILE")
    p.add_progress_options()
    return p


def _add_length(p: Parser) -> None:
    """Add the options that say for how long; each way of timing has its own defaults."""
    p.add_argument(
        "--iterations",
        type=positive,
        metavar="N",
        help=(
            "counted calls a subject, batch and client (default: as many as fill the blocks); of a"
            " vendor tool, a block's (default 20)"
        ),
    )
    p.add_argument(
        "--warmup",
        type=positive,
        metavar="N",
        help="warm-up calls (default: until the calls no longer become faster)",
    )
    p.add_argument(
        "--blocks",
        type=positive,
        metavar="N",
        help=(
            "blocks a subject and batch (default 10; with --devices 5; of trtexec, runs of each"
            " mode, 3)"
        ),
    )
    p.add_argument(
        "--block-seconds",
        type=seconds,
        metavar="S",
        help=(
            "how long a block should last (default 0.1; with --devices 0.5; of trtexec 3, after"
            " 1 s of warm-up)"
        ),
    )
    p.add_argument(
        "--starts",
        type=positive,
        metavar="N",
        help=(
            "how often the processes of compared subjects are started anew (default 10, one a"
            " block; 4 give an interval)"
        ),
    )
    p.add_argument(
        "--until-ci",
        type=share,
        metavar="P%%",
        help="go on until every ratio's interval is within P percent, at most 60 starts",
    )
    p.add_argument(
        "--clients",
        type=positive,
        metavar="N",
        help="processes a subject that call at the same time (default 1)",
    )


def _add_traffic(p: Parser) -> None:
    """Add the options of a load test, which has a file of its own kind."""
    group = p.add_argument_group(
        "load test", "how requests are answered that come as they do in service, without ratios"
    )
    group.add_argument(
        "--requests",
        type=positive,
        metavar="N",
        help="requests in all, each one batch (default 1000; of LoadGen at least, 100)",
    )
    group.add_argument(
        "--rate",
        type=float,
        metavar="R",
        help="open loop: R requests a second at random moments, late answers counted from these",
    )
    group.add_argument(
        "--scenario",
        choices=(
            "closed-loop",
            "open-loop",
            "offline",
            "mlperf:SingleStream",
            "mlperf:MultiStream",
            "mlperf:Server",
            "mlperf:Offline",
        ),
        help="default: open-loop with --rate, else closed-loop",
    )
    group.add_argument("--seed", type=int, metavar="N", help="of the random moments (default 0)")
    group.add_argument(
        "--min-seconds", type=float, metavar="S", help="LoadGen's least duration (default 10)"
    )
    group.add_argument(
        "--target-ms",
        type=float,
        metavar="MS",
        help="mlperf:Server: the latency that 99 percent must keep (default 100)",
    )


def traffic_of(options: argparse.Namespace) -> Traffic | None:
    """The traffic that the options ask for; None for a bench. Refuses what only a bench knows."""
    from portproof.core.errors import InputError
    from portproof.infer.load_test.job import Traffic

    given = {
        "requests": options.requests,
        "rate": options.rate,
        "scenario": options.scenario,
        "seed": options.seed,
        "seconds": options.min_seconds,
        "target_s": None if options.target_ms is None else options.target_ms / 1e3,
    }
    given = {name: value for name, value in given.items() if value is not None}
    if not given:
        return None
    names = ("iterations", "blocks", "block_seconds", "starts", "until_ci", "over", "devices")
    for flag in (*names, "profile"):
        if getattr(options, flag):
            raise InputError(
                f"--{flag.replace('_', '-')} has no meaning for a load test; leave it out"
            )
    usual: dict[str, Any] = {
        "scenario": "open-loop" if options.rate is not None else "closed-loop",
        "clients": options.clients or 1,
    }
    if str(options.scenario).startswith("mlperf:"):
        usual["requests"] = 100
    return Traffic(**(usual | given))


def work(options: argparse.Namespace) -> int:
    """Do the work; return the exit code."""
    from portproof.core import progress
    from portproof.infer.timing.job import bench, plan_for
    from portproof.infer.timing.show import exit_code, summary
    from portproof.infer.timing.subject import respelled

    progress.configure(options.quiet, options.log_json)
    traffic = traffic_of(options)
    if traffic is not None:
        return _load_test(options, traffic)
    subjects, devices = options.subjects, options.devices or ()
    if options.runner not in (None, "om"):
        subjects = respelled(subjects, options.runner)
    performance = bench(
        subjects,
        options.batch,
        card=options.model,
        inputs=options.inputs,
        info=options.info,
        plan=plan_for(
            subjects,
            devices,
            blocks=options.blocks,
            block_s=options.block_seconds,
            iterations=options.iterations,
            warmup=options.warmup,
            clients=options.clients,
            starts=options.starts,
            until_ci=options.until_ci,
        ),
        devices=devices,
        device=options.device,
        precision=options.precision,
        threads=options.threads,
        options=backend_options(options),
        over=options.over,
        out=options.out,
    )
    print(summary(performance))
    if options.profile:
        print(_profiled(options))
    return exit_code(performance)


def _profiled(options: argparse.Namespace) -> str:
    """Why the subjects are slow, by profilers after the timed calls."""
    from portproof.infer.profiling.beside import profiled
    from portproof.infer.profiling.take import Asked
    from portproof.infer.timing.subject import Subject

    common = Subject(
        "", "", "", options.device, options.precision, options.threads, backend_options(options)
    )
    asked = Asked(options.batch[0], options.model, info=options.info)
    return profiled(options.subjects, asked, common, options.out)


def _load_test(options: argparse.Namespace, traffic: Traffic) -> int:
    """Test under load; return the exit code."""
    from portproof.infer.load_test.job import load_test
    from portproof.infer.load_test.show import load_table
    from portproof.infer.timing.job import job_for
    from portproof.infer.timing.protocol import Plan
    from portproof.infer.timing.show import exit_code
    from portproof.infer.timing.subject import Subject

    common = Subject(
        "", "", "", options.device, options.precision, options.threads, backend_options(options)
    )
    job = job_for(
        options.subjects,
        options.batch,
        card=options.model,
        inputs=options.inputs,
        info=options.info,
        common=common,
        plan=Plan(warmup=options.warmup),
    )
    test = load_test(job, traffic, options.out)
    print(load_table(test))
    return exit_code(test)


if __name__ == "__main__":
    run_stage(parser, work)
