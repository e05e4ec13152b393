"""Convert an ONNX model to .om files for Ascend 310 and 310P, with atc."""

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
        "Convert an ONNX model with atc: one .om a batch size, OUT_DIR/<model>_bs<N>.om, or one"
        " with dynamic dimensions.",
        example="python convert/onnx2om.py model.onnx om --target 310p --batch 1,4,8,16",
    )
    p.add_argument("model_file", metavar="MODEL.onnx", help="the model")
    p.add_argument(
        "out",
        metavar="OUT_DIR",
        help="where the .om files are written; may hold {batch}, as in 310p/bs{batch}",
    )
    p.add_argument(
        "--target",
        default="310p",
        metavar="T",
        help="310 or 310p, a name in catalog/targets (default 310p)",
    )
    p.add_argument(
        "--soc-version",
        metavar="V",
        help="as atc spells it, such as Ascend310P3 (default: npu-smi's chip, else the target's)",
    )
    p.add_values("--batch", type=positive, default=[1], metavar="N", help="batch sizes (default 1)")
    _add_shapes(p)
    _add_arithmetic(p)
    p.add_argument(
        "--tune",
        action="store_true",
        help="tune the operators with aoe first (hours); needs the chip",
    )
    p.add_argument(
        "--timeout",
        type=float,
        default=7200.0,
        metavar="S",
        help="seconds that one conversion may take, without its tuning (default 7200)",
    )
    p.add_argument(
        "--dry-run", action="store_true", help="print the exact commands and run nothing"
    )
    p.add_progress_options()
    return p


def _add_shapes(p: Parser) -> None:
    """The shapes: what is fixed, and what is chosen at run time."""
    kinds = p.add_mutually_exclusive_group()
    kinds.add_argument(
        "--dynamic-batch", action="store_true", help="one .om with all sizes of --batch as gears"
    )
    kinds.add_argument(
        "--dynamic-image-size", metavar="H,W;H,W", help="image sizes to choose from at run time"
    )
    kinds.add_argument(
        "--dynamic-dims",
        metavar="D,D;D,D",
        help="values of the -1 dimensions of --input-shape to choose from at run time",
    )
    kinds.add_argument(
        "--shape-range", metavar="NAME:[D~D,..]", help="any shape in the ranges, chosen at run time"
    )
    p.add_argument(
        "--input-shape",
        metavar="NAME:D,D;..",
        help="shapes of the inputs (default: the model's, with the batch filled in)",
    )


def _add_arithmetic(p: Parser) -> None:
    """What the chip computes, and atc's own flags."""
    p.add_argument(
        "--aipp",
        metavar="FILE",
        help=(
            "AIPP configuration: scaling and normalisation on the chip, the input is uint8 NHWC"
            " then"
        ),
    )
    p.add_argument(
        "--precision",
        choices=("fp16", "fp32", "mixed"),
        help="arithmetic on the chip (default: atc's own choice, fp16)",
    )
    p.add_argument(
        "--output-type",
        metavar="T",
        help="type of the outputs, such as FP16 (default: the model's)",
    )
    p.add_argument(
        "--flag",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="one more flag of atc's own (op_select_implmode=high_precision); may be repeated",
    )


def work(options: argparse.Namespace) -> int:
    """Do the work; return the exit code."""
    from portproof.convert.ascend.atc import AtcRequest
    from portproof.convert.ascend.offline_model import convert
    from portproof.core import progress

    progress.configure(options.quiet, options.log_json)
    request = AtcRequest(
        model=options.model_file,
        out=options.out,
        target=options.target,
        soc_version=options.soc_version,
        batches=tuple(options.batch),
        dynamic_batch=options.dynamic_batch,
        image_sizes=options.dynamic_image_size,
        dims=options.dynamic_dims,
        shape_range=options.shape_range,
        input_shape=options.input_shape,
        aipp=options.aipp,
        precision=options.precision,
        output_type=options.output_type,
        flags=tuple(options.flag),
        tune=options.tune,
    )
    convert(request, timeout_s=options.timeout, dry_run=options.dry_run)
    return 0


if __name__ == "__main__":
    run_stage(parser, work, apart=True)
