"""Read the figures of any vendor's log, with what each clock enclosed and what does not fit."""

from __future__ import annotations

import argparse
import os
import sys

# Run from a clone: make `portproof` importable, and nothing else of the checkout.
if not __package__:
    sys.path[0] = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "src")

from portproof.core.arguments import Parser, positive, run_stage


def parser() -> Parser:
    """The command line."""
    p = Parser(
        "Read the figures of performance logs: benchmark, PureInfer, ais_bench, msame, trtexec,"
        " LoadGen, onnxruntime_perf_test, benchmark_app, perf_analyzer, Polygraphy,"
        " Torch-TensorRT and PortProof's own. A log is recognised by its content. A file that holds"
        " no run is named on stderr, and the exit code is then 2.",
        example=(
            "python metrics/throughput.py result/perf_vision_batchsize_1_device_0.txt --chips 4"
        ),
    )
    p.add_argument("log", metavar="LOG", nargs="+", help="a log, or a folder of logs")
    p.add_argument(
        "--chips",
        type=positive,
        metavar="N",
        help="chips on a card: adds per-card rates beside the printed ones",
    )
    form = p.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="a list of runs as JSON, on stdout")
    form.add_argument(
        "--summary",
        action="store_true",
        help="one line a run: batch, images a second and milliseconds of a call",
    )
    form.add_argument("--csv", action="store_true", help="the same lines as CSV, on stdout")
    p.add_progress_options()
    return p


def work(options: argparse.Namespace) -> int:
    """Do the work; return the exit code."""
    from portproof.core import progress
    from portproof.core.errors import EXIT_BAD_INPUT, EXIT_DONE, say_error
    from portproof.logs.logged import add_card_figures
    from portproof.logs.show import as_json, as_text, expand
    from portproof.logs.summary import as_csv, as_summary

    progress.configure(options.quiet, options.log_json)
    runs, problems = expand(options.log)
    for run in runs:
        if options.chips:
            add_card_figures(run, options.chips)
    forms = {"json": as_json, "summary": as_summary, "csv": as_csv}
    form = next((make for name, make in forms.items() if getattr(options, name)), as_text)
    print(form(runs))
    for problem in problems:
        say_error(problem)
    return EXIT_BAD_INPUT if problems else EXIT_DONE


if __name__ == "__main__":
    run_stage(parser, work)
