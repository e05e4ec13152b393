"""The simulated ``atc``: wraps the ONNX file, with the real program's lines, codes and exit
statuses. ``aoe`` is the same program by name.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from portproof.rehearsal import MARK
from portproof.rehearsal.aipp import read_aipp
from portproof.rehearsal.om import Kind, write_om

_FLAGS = frozenset(
    {
        "framework",
        "model",
        "output",
        "soc_version",
        "input_format",
        "log",
        "input_shape",
        "out_nodes",
        "insert_op_conf",
        "output_type",
        "dynamic_batch_size",
        "dynamic_image_size",
        "dynamic_dims",
        "input_shape_range",
        "precision_mode",
        "precision_mode_v2",
        "op_select_implmode",
        "optypelist_for_implmode",
        "enable_small_channel",
        "fusion_switch_file",
        "input_fp16_nodes",
        "buffer_optimize",
        "keep_dtype",
        "modify_mixlist",
        "customize_dtypes",
        "op_precision_mode",
        "job_type",
    }
)
_CHIPS = re.compile(r"^Ascend(310|310P[1-7]|310B[1-4]|710|910\w*)$")


def fail(code: str, text: str) -> NoReturn:
    """End as atc does when it fails."""
    print("ATC run failed, Please check the detail log, Try 'atc --help' for more information")
    print(f"{code}: {text}", flush=True)
    sys.exit(255)


def flags() -> dict[str, str]:
    """``--k=v`` of the command line."""
    found = {}
    for word in sys.argv[1:]:
        name, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or not equals or name not in _FLAGS:
            fail(
                "E10001",
                f"Value [{word}] for parameter [command line] is invalid. Reason: it is no flag.",
            )
        found[name] = value
    return found


def main() -> int:
    """Run the program."""
    if sys.argv[1:] == ["--help"]:
        print(
            "usage: atc <args>\n  --precision_mode    precision mode\n  --precision_mode_v2"
            " precision mode, newer spelling"
        )
        return 0
    print(
        f"ATC start working now, please wait for a moment.\n[{MARK}] a simulated tool", flush=True
    )
    given = flags()
    for name in (
        "framework",
        "model",
        "output",
        *(() if "job_type" in given else ("soc_version",)),
    ):
        if not given.get(name):
            fail("E10007", f"[--{name}] is required. The usage is --{name}=<value>.")
    if "job_type" in given:
        print("[AOE] tuning finished")
        return 0
    if not _CHIPS.match(given["soc_version"]):
        fail("EC0005", f"Value [{given['soc_version']}] for parameter [soc_version] is invalid.")
    _wrap(given)
    print("ATC run success, welcome to the next use.", flush=True)
    return 0


def _wrap(given: dict[str, str]) -> None:
    shapes = {}
    for part in filter(
        None,
        re.split(
            r";(?![^\[]*\])", given.get("input_shape", "") or given.get("input_shape_range", "")
        ),
    ):
        name, _, dims = part.strip().rpartition(":")
        shapes[name] = [
            int(d) if re.fullmatch(r"\s*-?\d+\s*", d) else -1 for d in dims.strip("[] ").split(",")
        ]
    kind, gears = _gears(given, list(shapes.values()))
    full = (
        "force_fp32" in given.get("precision_mode", "")
        or given.get("precision_mode", "") == "must_keep_origin_dtype"
    )
    half = not full and given.get("precision_mode_v2") != "origin"
    aipp = None
    if "insert_op_conf" in given:
        try:
            aipp = read_aipp(Path(given["insert_op_conf"]))
        except (OSError, ValueError) as error:
            fail(
                "E10001",
                f"Value [{given['insert_op_conf']}] for parameter [insert_op_conf] is invalid."
                f" Reason: {error} [{MARK}].",
            )
    try:
        write_om(
            Path(given["model"]),
            Path(given["output"] + ".om"),
            given["soc_version"],
            shapes,
            kind=kind,
            gears=gears,
            half=half,
            output_half=given.get("output_type") == "FP16",
            aipp=aipp,
        )
    except FileNotFoundError:
        fail(
            "E10001",
            f"Value [{given['model']}] for parameter [--model] is invalid. Reason: The file does"
            " not exist.",
        )
    except (KeyError, StopIteration, IndexError, ValueError) as error:
        fail("E19999", f"Inner Error! [{MARK}] {error}")


def _gears(given: dict[str, str], shapes: Sequence[Sequence[int]]) -> tuple[Kind, list[list[int]]]:
    def numbers(text: str) -> list[list[int]]:
        return [[int(n) for n in gear.split(",")] for gear in text.split(";")]

    if "dynamic_batch_size" in given:
        return "batch", [[int(n)] for n in given["dynamic_batch_size"].split(",")]
    if "dynamic_image_size" in given:
        return "hw", numbers(given["dynamic_image_size"])
    if "dynamic_dims" in given:
        filled = []
        for gear in numbers(given["dynamic_dims"]):
            values = iter(gear)
            filled.append([next(values) if d == -1 else d for shape in shapes for d in shape])
        return "dims", filled
    return ("shape", []) if "input_shape_range" in given else ("static", [])


if __name__ == "__main__":
    sys.exit(main())
