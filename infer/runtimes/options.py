"""The options that ``run.py`` and ``bench.py`` share: how a backend loads a model. Standard library
only.
"""

from __future__ import annotations

import argparse

from portproof.core.arguments import Parser, positive

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


def backend_options(options: argparse.Namespace) -> dict[str, str]:
    """What ``--option`` and ``--provider`` gave, by name."""
    given = dict(options.option)
    return given | ({"provider": options.provider} if options.provider else {})


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError("NAME=VALUE was expected")
    return name, value
