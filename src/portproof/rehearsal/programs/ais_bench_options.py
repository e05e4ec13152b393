"""The command line of the simulated ``ais_bench``, and the file that two of its options make."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

#: Run mode -> what its progress bar says.
BARS = {
    "array": "Inference array Processing",
    "tensor": "Inference tensor Processing",
    "files": "Inference files Processing",
    "full": "Inference Processing full",
}


def parser() -> argparse.ArgumentParser:
    """The real tool's options."""
    p = argparse.ArgumentParser(prog="__main__.py")

    def device(text: str) -> list[int]:
        ids = [int(part) for part in text.split(",")]
        if any(not 0 <= i <= 255 for i in ids):
            raise argparse.ArgumentTypeError(
                f"device_id:{text} is invalid. valid value range is [0, 255]"
            )
        return ids

    def yes(text: str) -> bool:
        if text.lower() not in ("yes", "true", "t", "y", "1", "no", "false", "f", "n", "0"):
            raise argparse.ArgumentTypeError("Boolean value expected.")
        return text.lower() in ("yes", "true", "t", "y", "1")

    def positive(text: str) -> int:
        if int(text) <= 0:
            raise argparse.ArgumentTypeError(f"{text} is an invalid positive int value")
        return int(text)

    p.add_argument("--model", "-m", required=True)
    p.add_argument("--input", "-i")
    p.add_argument("--output", "-o")
    p.add_argument("--output_dirname")
    p.add_argument("--outfmt", default="BIN", choices=["NPY", "BIN", "TXT"])
    p.add_argument("--loop", "-l", type=positive, default=1)
    p.add_argument("--debug", type=yes, default=False)
    p.add_argument("--device", "-d", type=device, default=[0])
    for name, kind in (
        ("dymBatch", int),
        ("dymHW", str),
        ("dymDims", str),
        ("dymShape", str),
        ("outputSize", str),
        ("acl_json_path", str),
        ("batchsize", positive),
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
        p.add_argument(f"--{name}", type=yes, default=False)
    p.add_argument("--pure_data_type", default="zero", choices=["zero", "random"])
    p.add_argument("--output_batchsize_axis", type=int, default=0)
    p.add_argument("--run_mode", default="array", choices=list(BARS))
    p.add_argument("--warmup_count", type=int, default=1)
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
