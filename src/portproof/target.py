"""Targets: ``catalog/targets/<name>.yaml`` holds the facts about a device."""

from __future__ import annotations

import functools
import os
from typing import Annotated, Literal

import msgspec

from portproof.core import plugins
from portproof.core.errors import InputError
from portproof.core.yamlfile import data_folder, load_yaml, names_in

Word = Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z][\w.-]*$")]


class Target(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A device.

    ``soc_version`` is what ``atc --soc_version`` is given; targets of onnx2om have one.
    ``chips_per_card``: vendor tools time one chip, a card is what is bought, so a card's rate is
    the tool's rate times this. ``converter`` is the stage that makes the device's model file from
    ONNX, None when it runs ONNX itself. ``backend`` and ``precision`` are the defaults. ``aliases``
    are other names users have for it.
    """

    name: Word
    vendor: Word
    chips_per_card: Annotated[int, msgspec.Meta(ge=1)]
    backend: Word
    precision: Literal["fp32", "fp16", "int8"]
    converter: Word | None = None
    soc_version: Word | None = None
    compute_capability: str | None = None
    aliases: tuple[Word, ...] = ()

    def __post_init__(self) -> None:
        vendors = plugins.names("portproof.rundir.vendors")
        if self.vendor not in vendors:
            raise ValueError(
                f"`vendor`: there is no vendor '{self.vendor}', there are {', '.join(vendors)}"
            )
        if (self.converter == "onnx2om") != (self.soc_version is not None):
            raise ValueError("`soc_version`: targets of onnx2om have one, other targets have none")


def read_target(path: str | os.PathLike[str]) -> Target:
    """Read a target from a YAML file; :class:`InputError` has file, line and reason."""
    return load_yaml(path, Target, "target")


def target_names() -> list[str]:
    """The names of the targets there are, sorted."""
    return names_in("targets")


def find_target(name: str) -> Target:
    """The target of a name or an alias, in any case; :class:`InputError` lists the names."""
    found = match_target(name)
    if found is None:
        raise InputError(
            f"there is no target '{name}'; there are {', '.join(target_names())}; a new one is a"
            " new file in catalog/targets/"
        )
    return found


@functools.cache
def match_target(name: str) -> Target | None:
    """The target of a name or an alias, or None.

    >>> match_target("Ascend710").name, match_target("T4").chips_per_card, match_target("eager")
    ('310p', 1, None)
    """
    wanted = name.strip().lower()
    if wanted in target_names():
        return read_target(data_folder("targets") / f"{wanted}.yaml")
    every = (read_target(data_folder("targets") / f"{known}.yaml") for known in target_names())
    return next((target for target in every if wanted in target.aliases), None)
