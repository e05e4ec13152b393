"""From the options of ``port`` to the settings of a run directory."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import msgspec

from portproof import rehearsal
from portproof.card import find_card, read_card
from portproof.core import progress
from portproof.core.errors import InputError
from portproof.core.files import existing_file, existing_folder
from portproof.manifest import read_info
from portproof.rundir.examples import example_card, read_example
from portproof.rundir.layout import CLASSIFICATION, vendor_of
from portproof.rundir.parts.part_card import card_of_part
from portproof.rundir.settings import FILE, Settings, read_settings
from portproof.target import Target, find_target, target_names

DEFAULT_BATCHES = (1, 4, 8, 16, 32)
_NEEDED = ("model", "weights", "images", "labels")
#: Options that have a meaning for the targets of some vendors only (``OPTIONS`` of a vendor).
_OF_SOME_VENDORS = {"runner", "devices", "tune", "starts"}


def default_run_dir(options: argparse.Namespace) -> Path:
    """``runs/<model>-<targets>`` in the working directory."""
    name = options.example or "digits"
    name = Path(options.model.replace(":", "-")).stem if options.model else name
    return Path("runs", f"{name}-{'-'.join(dict.fromkeys(options.target))}")


def marked(run_dir: Path, rehearse: bool) -> Path:
    """The run directory; a rehearsal's says so in its name, and a rehearsal's is not used for
    anything else.
    """
    if rehearse:
        return (
            run_dir
            if rehearsal.MARK in run_dir.name
            else run_dir.with_name(f"{run_dir.name}-{rehearsal.MARK}")
        )
    if rehearsal.MARK in run_dir.name:
        raise InputError(
            f"'{run_dir}' is the run directory of a rehearsal: give another --run-dir, or"
            " --rehearse"
        )
    return run_dir


def settings_from(options: argparse.Namespace, run_dir: Path) -> Settings:
    """The settings that the options ask for: a user's model, the port that the run directory holds,
    or without either the demonstration. :class:`InputError` if they do not fit the targets.
    """
    settings = _settings(options, run_dir)
    columns: dict[str, str] = {}
    for target in map(find_target, settings.targets):
        label = vendor_of(target).sides(settings, target)[0].label
        if label in columns:
            raise InputError(
                f"--target names '{columns[label]}' and '{target.name}', which are the same column"
                f" '{label}': give one of them"
            )
        columns[label] = target.name
    return settings


def check_host(target: Target) -> None:
    """:class:`InputError` if this host lacks what the target needs of it."""
    check = getattr(vendor_of(target), "check", None)
    if check:
        check(target)


def _settings(options: argparse.Namespace, run_dir: Path) -> Settings:
    chosen = {
        "margin_pp": options.margin_pp,
        "starts": options.starts,
        "output": options.output,
        "runner": options.runner,
        "devices": tuple(options.devices or ()),
        "tune": options.tune,
        "packed": options.packed,
        "batches": tuple(options.batch or ()),
    }
    common: dict[str, Any] = {name: value for name, value in chosen.items() if value}
    common |= {
        "targets": tuple(dict.fromkeys(find_target(t).name for t in options.target)),
        "rehearse": options.rehearse,
        "gate": options.gate,
    }
    _check_targets(common)
    given = _given(options)
    held = read_settings(run_dir) if (run_dir / FILE).is_file() else None
    for name in common["targets"]:
        if not held or name not in held.targets:
            check_host(find_target(name))
    if held and (set(given) == {"labels"} if held.demonstration else _is_part(given)):
        # Begun on another host: what was given there is in the run directory, and may not be on
        # this host.
        return msgspec.structs.replace(held, **common, **given)
    if not given:
        return _demonstration(common, options.example or (held.example if held else "digits"))
    needed = [n for n in _NEEDED if n != "images" or "samples" not in given]
    missing = [f"--{name}" for name in needed if name not in given]
    if missing:
        raise InputError(
            f"{' and '.join(missing)} must be given too (or none of"
            f" {', '.join('--' + n for n in _NEEDED)}, for the demonstration)"
        )
    own = card_settings(options.model)
    if options.images and not (own.get("encoded") and os.path.isfile(options.images)):
        existing_folder(options.images, "--images")
    if own.get("parts"):
        existing_folder(options.weights, "--weights (those of the parts, a file each)")
    if own.get("task", CLASSIFICATION) == CLASSIFICATION or not os.path.isdir(options.labels):
        existing_file(options.labels, "--labels")
    return Settings(**own | given | common)


def _given(options: argparse.Namespace) -> dict[str, Any]:
    """The model and its data, as far as they were given; :class:`InputError` for images and samples
    that are ready.
    """
    given: dict[str, Any] = {
        name: _absolute(name, getattr(options, name)) for name in _NEEDED if getattr(options, name)
    }
    if options.example and (given.keys() - {"labels"} or options.samples):
        raise InputError("--example brings its own model and data: leave --model and the like out")
    if not options.samples:
        return given
    if options.images:
        raise InputError("--images and --samples were both given: give one of them")
    for name in options.samples:
        if not os.path.exists(name):
            raise InputError(
                f"--samples '{name}' is not there: an info list or a folder of .bin files was"
                " expected"
            )
    given["samples"] = tuple(map(os.path.abspath, options.samples))
    given["samples_root"] = _root_of(given["samples"])
    return given


def _is_part(given: dict[str, Any]) -> bool:
    return (
        not {"model", "weights", "labels"} <= given.keys()
        or not {"images", "samples"} & given.keys()
    )


def _root_of(samples: tuple[str, ...]) -> str:
    """Where relative paths in the lists begin: the working directory, or the folder of the first
    list, whichever has its first file.
    """
    lists = [name for name in samples if os.path.isfile(name)]
    first = read_info(lists[0])[0].files[0] if lists else ""
    if not first or os.path.isabs(first):
        return "."
    folders = [os.getcwd(), os.path.dirname(lists[0])]
    found = next((f for f in folders if os.path.isfile(os.path.join(f, first))), None)
    if found is None:
        raise InputError(
            f"info list '{lists[0]}': its first file '{first}' is neither under the working"
            f" directory '{folders[0]}' nor under the list's folder '{folders[1]}'; start where the"
            " paths begin, or write absolute ones"
        )
    return found


def _check_targets(chosen: dict[str, Any]) -> None:
    """Refuse an option that no target knows, before anything runs; warn where only some do."""
    targets = [find_target(name) for name in chosen["targets"]]
    if chosen["rehearse"]:
        for target in targets:
            if not vendor_of(target).CAN_REHEARSE:
                raise InputError(
                    f"only Ascend targets can be rehearsed, '{target.name}' cannot: leave"
                    " --rehearse out"
                )
    for option in sorted(_OF_SOME_VENDORS & chosen.keys()):
        without = [t.name for t in targets if option not in vendor_of(t).OPTIONS]
        if len(without) == len(targets):
            able = [n for n in target_names() if option in vendor_of(find_target(n)).OPTIONS]
            raise InputError(
                f"--{option} has no meaning for {' and '.join(without)}; the targets"
                f" {', '.join(able)} take it: leave it out"
            )
        if without:
            progress.warn(f"--{option} has no meaning for {' and '.join(without)}")


def _demonstration(common: dict[str, Any], name: str) -> Settings:
    example, card = read_example(name), str(example_card(name))
    own = card_settings(card)
    return Settings(
        model=card,
        weights="weights" if own.get("parts") else "weights.pth",
        images=example.images,
        labels=example.labels,
        demonstration=True,
        example=name,
        **own | common,
    )


def _absolute(name: str, value: str) -> str:
    return absolute_card(value) if name == "model" else os.path.abspath(value)


def card_settings(model: str) -> dict[str, Any]:
    """The batch sizes and the task of a model card; the usual ones for a model without a file."""
    if ":" in model:
        return {"batches": DEFAULT_BATCHES}
    card = read_card(find_card(model))
    settings: dict[str, Any] = {"batches": card.batches, "task": card.task}
    first = card_of_part(card, card.parts[0]) if card.parts else card
    settings |= {"encoded": True} if first.sequence else {}
    settings |= {"parts": tuple(part.name for part in card.parts)} if card.parts else {}
    return settings if card.task == CLASSIFICATION else settings | {"margin_pp": None}


def absolute_card(card: str) -> str:
    """A card's path, made absolute, because steps run in the run directory; or its name."""
    path, colon, function = card.rpartition(":")
    if colon and path.endswith(".py"):
        return f"{os.path.abspath(path)}:{function}"
    return os.path.abspath(card) if card.endswith((".yaml", ".yml")) else card
