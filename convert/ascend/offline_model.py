"""ONNX to ``.om`` with ``atc``: done only if exit code, success line and file agree."""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from portproof import rehearsal
from portproof.backend import TensorSpec
from portproof.convert.ascend.atc import AtcRequest, Conversion, conversions, more_flags
from portproof.convert.ascend.om_facts import FACT, OmFacts
from portproof.convert.ascend.operators import doubts
from portproof.convert.onnxfile.inherit import normalisation_fact
from portproof.convert.onnxfile.read import OnnxHead, read_onnx
from portproof.core import progress
from portproof.core.drafts import draft_folder
from portproof.core.errors import InputError, ToolError
from portproof.core.files import existing_file, tail_of
from portproof.core.shell import Finished, find_program, run_program, spelled
from portproof.core.yamlfile import as_data
from portproof.host import cann, npusmi
from portproof.proof.sidecar import Proof, read_proof
from portproof.proof.work import Work
from portproof.target import Target, find_target

_SUCCESS = "ATC run success"
#: The image that AIPP reads, in its configuration; NHWC for RGB.
_SOURCE = re.compile(r"src_image_size_(w|h)\s*:\s*(\d+)")
_RGB = re.compile(r"input_format\s*:\s*RGB888_U8")
_CODE = re.compile(r"^\s*(E[A-Z0-9]\d{4}|EL\d{3}):", re.MULTILINE)
_HINT = "source /usr/local/Ascend/ascend-toolkit/set_env.sh first, or rehearse with port --rehearse"
_MEANINGS = {
    "E10001": "a value is invalid",
    "E10003": "a value is invalid",
    "E10014": "a value is invalid",
    "E10015": "a value is invalid",
    "E10007": "a required parameter is missing",
    "E10013": "a value is out of range",
    "E10016": "a node of --out_nodes is not in the model (names change with the version of torch)",
    "E10054": "--model is empty; check its quotes",
    "E19010": (
        "the parser does not know an operator at this opset: export with opset 11, or use a newer"
        " CANN"
    ),
    "E19999": "an inner error of atc",
    "E40000": "atc's own Python packages cannot be imported: check set_env.sh and PYTHONPATH",
    "EC0010": "atc's own Python packages cannot be imported: check set_env.sh and PYTHONPATH",
    "EC0005": "the soc_version is wrong for this CANN",
    "E90003": "an operator could not be compiled",
    "EZ3003": "an operator is not supported on this chip",
    "EZ9999": "an error on the AI core",
}


def convert(
    request: AtcRequest, *, timeout_s: float | None = None, dry_run: bool = False
) -> list[Proof]:
    """Make every ``.om`` of a request; the sidecar of each (none with ``dry_run``, which prints the
    commands).

    Raises :class:`InputError` for a request that does not fit the model, before atc is called, and
    :class:`ToolError` when atc fails.
    """
    target = find_target(request.target)
    if target.converter != "onnx2om":
        raise InputError(f"the target '{target.name}' takes no .om files; use 310 or 310p")
    model = existing_file(request.model, "ONNX model")
    head = read_onnx(model)
    for warning in doubts(head):
        progress.warn(warning)
    # Refuses a model that would be normalised twice, before atc works for minutes.
    normalisation_fact(model, _aipp(request))
    soc_version = _soc_version(request, target)
    atc = "atc" if dry_run and not _is_here("atc") else _program("atc")
    new_precision = bool(request.precision) and atc != "atc" and _knows_new_precision(atc)
    if request.precision and atc == "atc":
        progress.warn("atc is not on this host: the precision is spelled as older releases take it")
    plan = conversions(request, head.inputs, new_precision)
    if dry_run:
        for conversion in plan:
            if request.tune:
                print(spelled(conversion.tuning("aoe", model, conversion.stem)))
            print(spelled(conversion.command(atc, model, conversion.stem, soc_version)))
        return []
    return [_make(conversion, request, head, soc_version, timeout_s) for conversion in plan]


def _make(
    conversion: Conversion,
    request: AtcRequest,
    head: OnnxHead,
    soc_version: str,
    timeout_s: float | None,
) -> Proof:
    """One ``.om``."""
    model = Path(request.model)
    inputs = {
        "model": [model],
        "aipp": [Path(request.aipp)] if request.aipp else [],
        "flag files": [
            Path(value) for value in more_flags(request.flags).values() if Path(value).is_file()
        ],
    }
    parameters = {
        "soc_version": soc_version,
        "flags": [*conversion.shape_flags, *conversion.flags],
        "precision": request.precision or "fp16",
        "tune": request.tune,
    }
    work = Work(
        "onnx2om",
        conversion.file,
        inputs=inputs,
        parameters=parameters,
        simulated=rehearsal.is_active(),
    )
    if work.is_done():
        return read_proof(work.sidecar)
    work.begin()
    folder = conversion.file.absolute().parent
    with draft_folder(conversion.file.absolute()) as scratch:
        if request.tune:
            _tune(conversion, model, scratch, folder / "logs" / f"aoe_{conversion.stem.name}.log")
        command = conversion.command(
            _program("atc"), model.absolute(), scratch / conversion.stem.name, soc_version
        )
        done = run_program(
            command,
            folder / "logs" / f"atc_{conversion.stem.name}.log",
            cwd=scratch,
            timeout_s=timeout_s,
        )
        os.replace(_made(done, scratch, conversion.stem.name), conversion.file)
    progress.say(f"onnx2om: {conversion.file} is made, in {done.seconds:.0f} s")
    facts = {
        "command": list(done.command),
        "seconds": done.seconds,
        "soc_version": soc_version,
        FACT: as_data(_facts(conversion, request, head)),
    }
    return work.finish([conversion.file], facts | normalisation_fact(model, _aipp(request)))


def _facts(conversion: Conversion, request: AtcRequest, head: OnnxHead) -> OmFacts:
    """What the tools that run the model must know of it: with AIPP its first input is raw pixels,
    and atc can be asked for other outputs.
    """
    outputs = (
        None
        if any(f.startswith(("--out_nodes=", "--output_type=")) for f in conversion.flags)
        else head.outputs
    )
    shapes = dict(conversion.shapes)
    inputs = [
        replace(s, shape=tuple(None if d == -1 else d for d in shapes.get(s.name, s.shape)))
        for s in head.inputs
    ]
    if aipp := _aipp(request):
        text = aipp.read_text(encoding="utf-8", errors="replace")
        size = dict(_SOURCE.findall(text))
        if len(size) != 2 or not _RGB.search(text):
            return OmFacts(gears=conversion.gears, inputs=None, outputs=outputs)
        inputs[0] = TensorSpec(
            inputs[0].name, "uint8", (inputs[0].shape[0], int(size["h"]), int(size["w"]), 3)
        )
    return OmFacts(gears=conversion.gears, inputs=tuple(inputs), outputs=outputs)


def _aipp(request: AtcRequest) -> Path | None:
    return existing_file(request.aipp, "AIPP configuration") if request.aipp else None


def _tune(conversion: Conversion, model: Path, scratch: Path, log: Path) -> None:
    """Tune the operators; aoe keeps the result in the user's CANN repository, for atc."""
    program = find_program(["aoe"], cann.program_folders(), _HINT)
    done = run_program(
        conversion.tuning(str(program), model.absolute(), scratch / "tuned"), log, cwd=scratch
    )
    if done.exit_code != 0:
        raise done.failure(f"aoe {done.how}")


def _made(done: Finished, scratch: Path, name: str) -> Path:
    """The file that atc made; :class:`ToolError` with the code's meaning unless exit code, success
    line and file all say so.

    Newer releases name a host-dependent model after the host: ``<name>_linux_x86_64.om``.
    """
    output = done.output
    files = sorted(scratch.glob("*.om"))
    made = [f for f in files if f.stem == name or f.stem.startswith(f"{name}_linux_")]
    if done.exit_code == 0 and _SUCCESS in output and made:
        return made[0]
    if "error while loading shared libraries" in output:
        raise done.failure(
            f"atc could not be started: a library of the driver or of CANN is missing; {_HINT}"
        )
    codes = list(dict.fromkeys(_CODE.findall(output)))
    if codes:
        meanings = [f"{code} ({_MEANINGS.get(code, 'see the log')})" for code in codes]
        raise done.failure(f"atc failed with {', '.join(meanings)}")
    missing = "" if _SUCCESS in output else f" without its line '{_SUCCESS}'"
    raise done.failure(f"atc {done.how}{missing or ' but made no .om file'}")


def _soc_version(request: AtcRequest, target: Target) -> str:
    """The chip to convert for: the one that the request names, which must be of the target's kind;
    else the chip of this host, if it is of that kind; else the target's.
    """
    if request.soc_version:
        if not npusmi.is_same_kind(request.soc_version, str(target.soc_version)):
            raise InputError(
                f"--soc-version {request.soc_version} is not of the target {target.name};"
                f" {target.soc_version} was expected"
            )
        return request.soc_version
    with suppress(InputError, ToolError):
        chips = [c.soc_version for c in npusmi.query()]
        fitting = [c for c in chips if npusmi.is_same_kind(c, str(target.soc_version))]
        if fitting:
            return fitting[0]
        progress.warn(
            f"this host has {', '.join(dict.fromkeys(chips))}, the model is converted for"
            f" {target.soc_version}"
        )
    return str(target.soc_version)


def _is_here(name: str) -> bool:
    with suppress(InputError):
        find_program([name], cann.program_folders())
        return True
    return False


def _program(name: str) -> str:
    return str(find_program([name], cann.program_folders(), _HINT))


def _knows_new_precision(atc: str) -> bool:
    """Whether this atc spells it ``--precision_mode_v2``: its help says so."""
    with tempfile.TemporaryDirectory(prefix="portproof-") as folder:
        log = Path(folder, "atc_help.log")
        done = run_program([atc, "--help"], log, timeout_s=60)
        if done.exit_code != 0:
            raise ToolError(f"'atc --help' {done.how}; {_HINT}", tail_of(log))
        return "precision_mode_v2" in done.output
