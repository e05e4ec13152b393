"""The AIPP configuration of a recipe: cropping and normalisation of uint8 images inside an ``.om``.

AIPP computes ``(x - mean_chn - min_chn) * var_reci_chn`` for each channel, so ``min_chn`` is
``divide * mean`` and ``var_reci_chn`` is ``1 / (divide * std)``. It computes in half precision on
the device: results differ from float32 normalisation by that rounding.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from msgspec.structs import replace

from portproof.core import progress
from portproof.core.errors import InputError
from portproof.core.files import write_text
from portproof.core.yamlfile import as_data
from portproof.preprocess.pixels.geometry import centre_span
from portproof.preprocess.pixels.normalisation import FACT, normalisation_by
from portproof.proof.work import Work
from portproof.recipe import Recipe, recipe_hash


def aipp_config(recipe: Recipe, prepared: Recipe) -> str:
    """The configuration text: ``recipe`` is what the model was trained for, ``prepared`` what the
    uint8 NHWC files hold.

    :class:`InputError` when the two cannot be joined: another channel order, resize or decoder, or
    samples smaller than the model's crop.
    """
    _refuse_mismatch(recipe, prepared)
    (height, width), (source_height, source_width) = recipe.size, prepared.size
    lines = [
        "aipp_mode : static",
        "input_format : RGB888_U8",
        f"src_image_size_w : {source_width}",
        f"src_image_size_h : {source_height}",
    ]
    if (height, width) != (source_height, source_width):
        left = centre_span(source_width, width, recipe.crop_rounding).start
        top = centre_span(source_height, height, recipe.crop_rounding).start
        lines += [
            "crop : true",
            f"load_start_pos_w : {left}",
            f"load_start_pos_h : {top}",
            f"crop_size_w : {width}",
            f"crop_size_h : {height}",
        ]
    lines += ["csc_switch : false", "rbuv_swap_switch : false"]
    lines += [
        f"min_chn_{index} : {_number(recipe.divide * mean)}"
        for index, mean in enumerate(recipe.mean)
    ]
    lines += [
        f"var_reci_chn_{index} : {_number(1.0 / (recipe.divide * std))}"
        for index, std in enumerate(recipe.std)
    ]
    return "aipp_op {\n" + "".join(f"    {line}\n" for line in lines) + "}\n"


def _number(value: float) -> str:
    """Plain decimal notation with 12 significant digits, as files in circulation have it."""
    return np.format_float_positional(value, precision=12, fractional=False, trim="-")


def _refuse_mismatch(recipe: Recipe, prepared: Recipe) -> None:
    if recipe.dtype == "uint8" or not recipe.normalises:
        raise InputError(
            "the card's recipe writes raw pixels: there is no normalisation for AIPP to do"
        )
    if (prepared.dtype, prepared.layout) != ("uint8", "NHWC"):
        raise InputError(
            f"AIPP reads uint8 NHWC samples, the recipe of the files makes {prepared.dtype}"
            f" {prepared.layout}"
        )
    same = ("decoder", "resizer", "resize", "channels", "fill")
    other = [name for name in same if getattr(recipe, name) != getattr(prepared, name)]
    if other:
        raise InputError(
            f"the files are prepared by another {other[0]} than the card's recipe asks for; prepare"
            " them by a recipe that agrees"
        )
    if prepared.size[0] < recipe.size[0] or prepared.size[1] < recipe.size[1]:
        raise InputError(
            f"the files have {prepared.size} pixels (height, width), fewer than the {recipe.size}"
            " that the model reads"
        )


def write_aipp(path: Path, recipe: Recipe, prepared: Recipe) -> None:
    """Write the configuration and its sidecar, which says that the model normalises; do nothing
    when it is there already.
    """
    text = aipp_config(recipe, prepared)
    work = Work(
        "aipp",
        path,
        inputs={},
        parameters={"recipe": recipe_hash(recipe), "prepared": recipe_hash(prepared), "text": text},
    )
    if work.is_done():
        return
    work.begin()
    write_text(path, text)
    work.finish(
        [path],
        {
            FACT: as_data(normalisation_by(replace(recipe, layout="NHWC"), folded=True)),
            "prepared": as_data(prepared),
        },
    )
    progress.say(f"aipp: {path}")
