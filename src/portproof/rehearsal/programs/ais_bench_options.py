"""The command line of the simulated ``ais_bench``, and the file that two of its options make.

The functions that check a value bear the names of the real ones, which argparse prints.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

#: Run mode -> what its progress bar says.
BARS = {
    "array": "Inference array Processing",
    "files": "Inference files Processing",
    "tensor": "Inference tensor Processing",
    "full": "Inference Processing full",
}


def check_device_range_valid(value: str) -> list[int]:
    """One device, or several with commas."""
    ids = [int(part) for part in value.split(",")]
    for number in ids:
        if not 0 <= number <= 255:
            which = f"{number} of device:{value}" if "," in value else f"device:{number}"
            raise argparse.ArgumentTypeError(f"{which} is invalid. valid value range is [0, 255]")
    return ids


def str2bool(value: str) -> bool:
    """A boolean in one of ten spellings."""
    if value.lower() not in ("yes", "true", "t", "y", "1", "no", "false", "f", "n", "0"):
        raise argparse.ArgumentTypeError(
            "Boolean value expected true, 1, false, 0 with case insensitive."
        )
    return value.lower() in ("yes", "true", "t", "y", "1")


def check_positive_integer(value: str) -> int:
    """At least 1."""
    if int(value) <= 0:
        raise argparse.ArgumentTypeError(f"{value} is an invalid positive int value")
    return int(value)


def check_nonnegative_integer(value: str) -> int:
    """At least 0."""
    if int(value) < 0:
        raise argparse.ArgumentTypeError(f"{value} is an invalid nonnegative int value")
    return int(value)


def parser() -> argparse.ArgumentParser:
    """The real tool's options."""
    p = argparse.ArgumentParser(prog="__main__.py")

    p.add_argument("--model", "-m", required=True)
    p.add_argument("--input", "-i")
    p.add_argument("--output", "-o")
    p.add_argument("--output_dirname")
    p.add_argument("--outfmt", default="BIN", choices=["NPY", "BIN", "TXT"])
    p.add_argument("--loop", "-l", type=check_positive_integer, default=1)
    p.add_argument("--debug", type=str2bool, default=False)
    p.add_argument("--device", "-d", type=check_device_range_valid, default=[0])
    for name, kind in (
        ("dymBatch", int),
        ("dymHW", str),
        ("dymDims", str),
        ("dymShape", str),
        ("outputSize", str),
        ("acl_json_path", str),
        ("batchsize", check_positive_integer),
        ("dymShape_range", str),
    ):
        p.add_argument(f"--{name}", type=kind)
    for name in (
        "auto_set_dymshape_mode",
        "auto_set_dymdims_mode",
        "profiler",
        "dump",
        "display_all_summary",
    ):
        p.add_argument(f"--{name}", type=str2bool, default=False)
    p.add_argument("--pure_data_type", default="zero", choices=["zero", "random"])
    p.add_argument("--output_batchsize_axis", type=check_nonnegative_integer, default=0)
    p.add_argument("--run_mode", default="array", choices=list(BARS))
    p.add_argument("--warmup_count", type=check_nonnegative_integer, default=1)
    return p


def acl_json(options: argparse.Namespace) -> str:
    """The configuration that ``--profiler`` and ``--dump`` write; an empty string without them."""
    if not options.profiler and not options.dump:
        return ""
    folder = os.path.join(options.output, "profiler" if options.profiler else "dump")
    os.makedirs(folder, exist_ok=True)
    content: dict[str, object] = {
        "profiler": {"switch": "on", "aicpu": "on", "output": folder, "aic_metrics": ""}
    }
    if options.dump:
        model = os.path.basename(options.model).partition(".")[0]
        content = {
            "dump": {"dump_path": folder, "dump_mode": "all", "dump_list": [{"model_name": model}]}
        }
    path = Path(options.output, "acl.json")
    path.write_text(
        json.dumps(content, indent=4, separators=(", ", ": "), sort_keys=True), encoding="utf-8"
    )
    return str(path)
