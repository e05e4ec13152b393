"""The options that ``run.py`` and ``bench.py`` share: how a backend loads a model, and on which NPU
devices. Standard library only.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from portproof.core.arguments import Parser, not_negative, positive

#: Every file of ``infer/vendor`` is a tool.
VENDOR_TOOLS = sorted(
    path.stem
    for path in Path(__file__).parents[1].joinpath("vendor").glob("*.py")
    if path.stem != "__init__"
)
_PRECISIONS = ("fp32", "fp16", "bf16", "int8")
_PROVIDERS = ("cpu", "cuda", "tensorrt", "openvino", "cann")


def add_backend_options(parser: Parser) -> None:
    """Add ``--device``, ``--precision``, ``--threads``, ``--provider`` and ``--option``."""
    group = parser.add_argument_group("backend")
    group.add_argument(
        "--device",
        metavar="D",
        help="cpu, cuda:0, npu:0 ... (default: the backend's); never falls back to another",
    )
    group.add_argument(
        "--precision",
        choices=_PRECISIONS,
        help="precision of the arithmetic (default: the model file's own)",
    )
    group.add_argument(
        "--threads",
        type=positive,
        metavar="N",
        help="threads of the runtime (default: the runtime's own choice)",
    )
    group.add_argument(
        "--provider", choices=_PROVIDERS, help="ONNX Runtime's execution provider (default: cpu)"
    )
    group.add_argument(
        "--option",
        action="append",
        default=[],
        type=_pair,
        metavar="NAME=VALUE",
        help="an option of the backend's own",
    )


def add_npu_options(parser: Parser, runner: str) -> None:
    """Add ``--runner``, with its help, and ``--devices``."""
    group = parser.add_argument_group("Ascend")
    group.add_argument("--runner", metavar="TOOL", help=runner)
    parser.add_values(
        "--devices",
        type=not_negative,
        metavar="N",
        help="several NPU devices at the same time, such as a board's: 0 1 2 3",
    )


def backend_options(options: argparse.Namespace) -> dict[str, str]:
    """What ``--option`` and ``--provider`` gave, by name."""
    given = dict(options.option)
    return given | ({"provider": options.provider} if options.provider else {})


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError("NAME=VALUE was expected")
    return name, value
