"""Models of timm, by name and tag (``timm:regnety_016.pycls_in1k``)."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from portproof.card import Card
from portproof.convert.pytorch.checkpoint import read_state_dict, unprefixed
from portproof.convert.pytorch.models import Named, class_count, options_of
from portproof.convert.pytorch.weights import always_strict
from portproof.core.errors import InputError, MissingPackageError
from portproof.core.text import listed

if TYPE_CHECKING:
    from torch import nn

PACKAGES = ("timm",)


def files(card: Named) -> list[Path]:
    """None: the version of the package identifies its code."""
    return []


def build(card: Card, weights: Path | None) -> nn.Module:
    """The model as timm itself builds it. The weights go in as timm's pretrained weights do:
    through the model's own ``checkpoint_filter_fn``, which knows the names of older and foreign
    checkpoints.
    """
    if importlib.util.find_spec("timm") is None:
        raise MissingPackageError("timm", f"the model card '{card.name}'", "models")
    import timm

    name = card.builder.removeprefix("timm:")
    _check_name(name)
    default: Any = timm.get_pretrained_cfg(name)
    options = _options(card, default)
    if weights is None:
        with options_of(card):
            model: nn.Module = timm.create_model(name, pretrained=False, **options)
        return model
    # With the source cleared and its class count made the model's, timm neither downloads nor drops
    # the classifier's weights.
    state = unprefixed(read_state_dict(weights))
    overlay: dict[str, Any] = {
        "state_dict": state,
        "source": "",
        "custom_load": False,
    }
    overlay["num_classes"] = options.get("num_classes", default.num_classes if default else 1000)
    overlay["input_size"] = card.inputs[0].shape
    with options_of(card), always_strict(state, weights, card.weights.allow_changes):
        loaded: Any = timm.create_model(
            name, pretrained=True, pretrained_cfg_overlay=overlay, **options
        )
    loaded.pretrained_cfg.pop("state_dict")  # a second copy of the weights
    return loaded  # type: ignore[no-any-return]


def _check_name(name: str) -> None:
    import difflib

    import timm

    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        near = difflib.get_close_matches(architecture, timm.list_models(), n=3)
        raise InputError(
            f"timm {timm.__version__} has no model '{architecture}'"
            + (f"; did you mean {', '.join(near)}?" if near else "")
        )
    try:
        timm.get_pretrained_cfg(name, allow_unregistered=False)
    except RuntimeError as error:
        tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{architecture}.*")]
        raise InputError(
            f"timm {timm.__version__} has no tag '{tag}' of {architecture}; it has"
            f" {listed(tags, most=12) or 'none'}"
        ) from error


def _options(card: Card, default: Any) -> dict[str, Any]:
    """What differs from the model's defaults: the number of classes, of input channels, the size of
    a model that has it built in; and what the card itself says.
    """
    options: dict[str, Any] = {}
    classes = class_count(card)
    if classes is not None:
        options["num_classes"] = classes
    shape = card.inputs[0].shape
    if len(shape) == 3 and card.inputs[0].layout == "NCHW":
        if shape[0] != 3:
            options["in_chans"] = shape[0]
        if (
            default is not None
            and default.fixed_input_size
            and tuple(default.input_size[1:]) != tuple(shape[1:])
        ):
            options["img_size"] = tuple(shape[1:])
    return options | card.options
