"""What ``atc`` is asked: from a request to its exact command lines. Flags as in Huawei's
documentation and in public command lines.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from portproof.backend import TensorSpec
from portproof.convert.ascend.om_facts import Gears
from portproof.convert.ascend.shapes import check_gears, check_ranges, shape_flag, shapes_of
from portproof.core.errors import InputError

#: Our precision -> ``--precision_mode`` of older releases, ``--precision_mode_v2`` of newer ones.
_PRECISIONS = {
    "fp16": ("force_fp16", "fp16"),
    "fp32": ("must_keep_origin_dtype", "origin"),
    "mixed": ("allow_mix_precision", "mixed_float16"),
}
#: Flags that other options decide, or that would change what a success is.
_OWN_FLAGS = frozenset(
    {
        "framework",
        "model",
        "output",
        "soc_version",
        "input_shape",
        "input_format",
        "input_shape_range",
        "dynamic_batch_size",
        "dynamic_image_size",
        "dynamic_dims",
        "insert_op_conf",
        "precision_mode",
        "precision_mode_v2",
        "output_type",
        "mode",
        "help",
    }
)


@dataclass(frozen=True, slots=True)
class AtcRequest:
    """What is to be converted. ``out`` may hold ``{batch}``; the dynamic settings exclude each
    other and are spelled as atc takes them. ``flags``: more of atc's own, ``name=value``.
    """

    model: str
    out: str
    target: str
    soc_version: str | None = None
    batches: tuple[int, ...] = (1,)
    dynamic_batch: bool = False
    image_sizes: str | None = None
    dims: str | None = None
    shape_range: str | None = None
    input_shape: str | None = None
    aipp: str | None = None
    precision: str | None = None
    output_type: str | None = None
    flags: tuple[str, ...] = ()
    tune: bool = False


@dataclass(frozen=True, slots=True)
class Conversion:
    """One ``.om``: its file without the suffix, the flags that decide it beside model, output and
    chip, and those of its shapes; what is chosen at run time, and its inputs' shapes, -1 where they
    are open (none: any in the range).
    """

    stem: Path
    flags: tuple[str, ...]
    shape_flags: tuple[str, ...]
    gears: Gears
    shapes: tuple[tuple[str, tuple[int, ...]], ...]

    @property
    def file(self) -> Path:
        """The ``.om``."""
        return self.stem.with_name(self.stem.name + ".om")

    def command(self, program: str, model: Path, output: Path, soc_version: str) -> list[str]:
        """atc's command line. atc adds the suffix ``.om`` itself."""
        log = () if any(f.startswith("--log=") for f in self.flags) else ("--log=error",)
        return [
            program,
            "--framework=5",
            f"--model={model}",
            f"--output={output}",
            f"--soc_version={soc_version}",
            *self.shape_flags,
            *self.flags,
            *log,
        ]

    def tuning(self, program: str, model: Path, output: Path) -> list[str]:
        """aoe's command line, for operators; the chip is that of the host."""
        return [
            program,
            "--framework=5",
            f"--model={model}",
            "--job_type=2",
            f"--output={output}",
            *self.shape_flags,
            "--log=error",
        ]


def conversions(
    request: AtcRequest, inputs: Sequence[TensorSpec], new_precision: bool
) -> list[Conversion]:
    """The conversions of a request. ``new_precision``: this atc knows ``--precision_mode_v2``."""
    common = []
    if request.aipp:
        common.append(f"--insert_op_conf={Path(request.aipp).absolute()}")
    if request.precision:
        old, new = _PRECISIONS[request.precision]
        common.append(f"--precision_mode_v2={new}" if new_precision else f"--precision_mode={old}")
    if request.output_type:
        common.append(f"--output_type={request.output_type}")
    common += [f"--{name}={value}" for name, value in more_flags(request.flags).items()]
    name = Path(request.model).stem
    if not _is_dynamic(request):
        return [
            _static(request, inputs, name, batch, tuple(common))
            for batch in dict.fromkeys(request.batches)
        ]
    if "{batch}" in request.out:
        raise InputError(
            "one .om with dynamic dimensions serves every batch: OUT_DIR cannot hold {batch}"
        )
    gears, flag, shapes = _dynamic(request, inputs)
    form = "ND" if request.dims else _format(inputs)
    shape_flags = (f"--input_format={form}", *([shape_flag(shapes)] if shapes else []), flag)
    return [
        Conversion(
            Path(request.out) / f"{name}_dym{gears}",
            tuple(common),
            shape_flags,
            gears,
            _fixed(shapes),
        )
    ]


def more_flags(flags: Sequence[str]) -> dict[str, str]:
    """atc's own flags by name. A value that names a file is made absolute, since atc runs in a
    folder of its own.

    >>> more_flags(["op_select_implmode=high_precision", "--log=info"])
    {'op_select_implmode': 'high_precision', 'log': 'info'}
    """
    known = {}
    for flag in flags:
        name, equals, value = flag.removeprefix("--").partition("=")
        if not equals or not re.fullmatch(r"\w+", name) or not value:
            raise InputError(
                f"--flag '{flag}' is not NAME=VALUE, for example op_select_implmode=high_precision"
            )
        if name in _OWN_FLAGS or name in known:
            raise InputError(
                f"--flag {name} is decided by another option of this command, or given twice; see"
                " --help"
            )
        known[name] = str(Path(value).absolute()) if Path(value).is_file() else value
    return known


def _is_dynamic(request: AtcRequest) -> bool:
    return bool(request.dynamic_batch or request.image_sizes or request.dims or request.shape_range)


def _dynamic(
    request: AtcRequest, inputs: Sequence[TensorSpec]
) -> tuple[Gears, str, list[tuple[str, list[int]]]]:
    """What is chosen at run time, the flag that says so, and the inputs' shapes, after a check that
    they fit each other.
    """
    if request.shape_range:
        check_ranges(request.shape_range, inputs)
        return "shape", f"--input_shape_range={request.shape_range}", []
    if request.image_sizes:
        if len(set(request.batches)) != 1:
            raise InputError("a model with a choice of image sizes has one batch: give one --batch")
        shapes = shapes_of(request.input_shape, inputs, request.batches[0])
        if any(n == -1 for _, shape in shapes for n in (shape[:-2] if len(shape) == 4 else shape)):
            raise InputError(
                "with --dynamic-image-size only height and width of an image (NCHW) can be open"
                " (-1): give --input-shape"
            )
        check_gears("--dynamic-image-size", request.image_sizes, 2)
        return "hw", f"--dynamic_image_size={request.image_sizes}", shapes
    shapes = shapes_of(request.input_shape, inputs, -1)
    open_ = [n for _, shape in shapes for n in shape].count(-1)
    if request.dims:
        check_gears("--dynamic-dims", request.dims, open_)
        return "dims", f"--dynamic_dims={request.dims}", shapes
    if not open_ or any(n == -1 for _, shape in shapes for n in shape[1:]):
        raise InputError(
            "with --dynamic-batch the batch and nothing else is open (-1): give --input-shape, or"
            " choose among --dynamic-dims"
        )
    return (
        "batch",
        f"--dynamic_batch_size={','.join(map(str, sorted(set(request.batches))))}",
        shapes,
    )


def _static(
    request: AtcRequest,
    inputs: Sequence[TensorSpec],
    name: str,
    batch: int,
    common: tuple[str, ...],
) -> Conversion:
    shapes = shapes_of(request.input_shape, inputs, batch)
    open_ = [n for n, shape in shapes if -1 in shape]
    if open_:
        raise InputError(
            f"input '{open_[0]}' has more dynamic dimensions than the batch: give --input-shape, or"
            " one of the --dynamic options"
        )
    if shapes[0][1][:1] != [batch]:
        raise InputError(
            f"--input-shape gives '{shapes[0][0]}' the shape {shapes[0][1]}, --batch asks for"
            f" {batch}; they must agree"
        )
    stem = Path(request.out.replace("{batch}", str(batch))) / f"{name}_bs{batch}"
    return Conversion(
        stem,
        common,
        (f"--input_format={_format(inputs)}", shape_flag(shapes)),
        "static",
        _fixed(shapes),
    )


def _fixed(shapes: Sequence[tuple[str, Sequence[int]]]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return tuple((name, tuple(shape)) for name, shape in shapes)


def _format(inputs: Sequence[TensorSpec]) -> str:
    return {4: "NCHW", 5: "NCDHW"}.get(len(inputs[0].shape), "ND")
