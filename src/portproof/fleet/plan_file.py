"""The plan of a fleet: which port, and which resources of a Ray cluster its steps claim."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from portproof.core.errors import InputError
from portproof.core.yamlfile import load_yaml
from portproof.rundir.layout import REFERENCE
from portproof.rundir.options import absolute_card
from portproof.rundir.settings import Settings
from portproof.target import find_target, match_target

SCHEMA = "portproof.fleet/1"
#: What a plan may place beside targets: the commands of these names, and the reference.
PLACES = ("export", "preprocess", REFERENCE)
#: Settings of a port that are paths.
_PATHS = ("weights", "images", "labels")

Amount = Annotated[int, msgspec.Meta(ge=1)]
#: A name as YAML has it: 310 is a number there.
Name = str | int
#: Name of a resource -> how many of it, as Ray has them.
Claim = dict[str, Amount]


class Ported(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The port, with the names that ``port.yaml`` has for the options of ``portproof port``. Paths
    are relative to the plan.
    """

    targets: Annotated[tuple[Name, ...], msgspec.Meta(min_length=1)]
    model: str | None = None
    weights: str | None = None
    images: str | None = None
    samples: tuple[str, ...] = ()
    labels: str | None = None
    batches: tuple[Amount, ...] = ()
    margin_pp: float | None = None
    starts: Amount | None = None
    output: Amount | None = None
    gate: Literal["accuracy", "speed", "all"] = "accuracy"
    example: str | None = None
    runner: str | None = None
    devices: tuple[Annotated[int, msgspec.Meta(ge=0)], ...] = ()
    tune: bool = False
    packed: bool = False
    rehearse: bool = False


class FleetPlan(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The content of ``plan.yaml``. ``port``: the port, or the path of a ``port.yaml``. ``where``:
    a target, ``eager``, ``preprocess`` or ``export`` -> what its steps claim; the other steps run
    on the driver's host. Amounts are whole, since nothing shares a device with a bench.
    ``shards``: in how many parts preprocessing and inference are cut; None: one for each device
    that there is, or for each host where no device is claimed.
    """

    port: Ported | str
    where: Annotated[dict[Name, dict[Name, Amount]], msgspec.Meta(min_length=1)]
    shards: Amount | None = None
    schema: str = SCHEMA


def read_plan(path: Path) -> FleetPlan:
    """Read a plan and check its names; :class:`InputError` has file and reason."""
    plan = load_yaml(path, FleetPlan, "fleet plan")
    if plan.schema != SCHEMA:
        raise InputError(
            f"fleet plan '{path}' has the schema {plan.schema!r}, this version reads {SCHEMA!r};"
            " correct the file"
        )
    if isinstance(plan.port, str):
        plan = msgspec.structs.replace(plan, port=_from_settings(path.parent / plan.port))
    claims_of(plan, path)
    return plan


def claims_of(plan: FleetPlan, path: Path) -> dict[str, Claim]:
    """Place -> what a step there claims; :class:`InputError` for a place that the port has not."""
    targets = {find_target(str(name)).name for name in port_of(plan).targets}
    claims: dict[str, Claim] = {}
    for given, claim in plan.where.items():
        target = match_target(str(given))
        name = target.name if target else str(given)
        if name not in {*targets, *PLACES}:
            raise InputError(
                f"fleet plan '{path}': 'where' names '{given}', which is no target of this port; it"
                f" may name {', '.join((*sorted(targets), *PLACES))}"
            )
        if not claim:
            raise InputError(
                f"fleet plan '{path}': where.{given} claims nothing; name a resource and how many,"
                " such as {NPU: 1}"
            )
        if name in claims:
            raise InputError(f"fleet plan '{path}': 'where' names '{name}' twice; keep one of them")
        claims[name] = {str(resource): amount for resource, amount in claim.items()}
    return claims


def port_of(plan: FleetPlan) -> Ported:
    """The port of a plan that was read."""
    assert isinstance(plan.port, Ported)  # a path was replaced by what it holds
    return plan.port


def port_options(plan: FleetPlan, folder: Path, chosen: argparse.Namespace) -> argparse.Namespace:
    """The options of ``portproof port`` that the plan asks for. ``folder``: that paths are relative
    to; ``chosen``: the options of this command.
    """
    ported = port_of(plan)
    given: dict[str, Any] = {
        name: _absolute(folder, getattr(ported, name)) for name in _PATHS if getattr(ported, name)
    }
    card = ported.model
    if card and ((folder / card).is_file() or (folder / card.rpartition(":")[0]).is_file()):
        card = str(folder / card)
    other = (*_PATHS, "targets", "model", "samples", "batches", "devices")
    return argparse.Namespace(
        target=list(map(str, ported.targets)),
        model=absolute_card(card) if card else None,
        samples=[_absolute(folder, name) for name in ported.samples],
        batch=list(ported.batches),
        **{name: given.get(name) for name in _PATHS},
        devices=list(ported.devices),
        **{name: getattr(ported, name) for name in Ported.__struct_fields__ if name not in other},
        run_dir=chosen.out,
        workers=chosen.workers,
        against=None,
        quiet=chosen.quiet,
        log_json=chosen.log_json,
    )


def _absolute(folder: Path, name: str) -> str:
    return os.path.abspath(folder / name)


def _from_settings(path: Path) -> Ported:
    """The port of a run directory's settings, whose paths are relative to that directory."""
    settings = load_yaml(path, Settings, "run directory settings")
    root = path.parent
    other = (*_PATHS, "model", "samples", "example", "runner", "devices")
    same = (name for name in Ported.__struct_fields__ if name not in other)
    given: dict[str, Any] = {name: getattr(settings, name) for name in same}
    given |= {"runner": settings.runner} if settings.runner != "om" else {}
    given |= {"devices": settings.devices} if settings.devices != (0,) else {}
    if settings.demonstration:
        return Ported(**given, example=settings.example)
    given |= {
        name: str(root / getattr(settings, name)) for name in _PATHS if getattr(settings, name)
    }
    given["samples"] = tuple(str(root / name) for name in settings.samples)
    return Ported(**given, model=settings.model)
