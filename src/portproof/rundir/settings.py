"""``port.yaml``: what a run directory is about, written first; sidecars hold the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec
import yaml

from portproof.core.errors import InputError
from portproof.core.files import write_text
from portproof.core.yamlfile import load_yaml
from portproof.proof.sidecar import ROOT_MARK

SCHEMA = "portproof.port/1"
FILE = ROOT_MARK


class Settings(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The settings of a port. Paths are absolute, or relative to the run directory when inside it.

    ``samples``: instead of images, info lists or folders of samples that are ready;
    ``samples_root``: where relative paths in the lists begin. ``task``: of the model card.
    ``parts``: of a port of several models, their names; ``weights`` is then the folder of theirs.
    ``output``: the number of the output that is judged, from 1; None: the model's only one.
    ``encoded``: the images are texts or recordings, which the card's ``sequence`` encodes.
    ``demonstration``: the model, the images and the labels are made by the run itself, as
    ``examples/<example>`` says.
    ``batches``: sizes to bench. ``margin_pp``: the accuracy loss that is allowed, in percentage
    points; None: of a task other than classification, as its card says. ``starts``: how often a
    bench of several sides starts its processes (None: the bench's own). ``gate``: which gates
    decide the verdict. For Ascend targets: ``runner`` executes the model (``om`` or a vendor tool)
    on ``devices``, ``tune`` tunes the operators before the conversion, ``rehearse`` simulates the
    device and its tools. ``packed``: results are one file an output, not one a sample and output.
    """

    schema: str = SCHEMA
    targets: tuple[str, ...]
    model: str
    weights: str
    images: str = ""
    samples: tuple[str, ...] = ()
    samples_root: str = "."
    encoded: bool = False
    labels: str
    batches: tuple[int, ...]
    margin_pp: float | None = 1.0
    starts: int | None = None
    gate: Literal["accuracy", "speed", "all"] = "accuracy"
    task: str = "classification"
    parts: tuple[str, ...] = ()
    output: int | None = None
    demonstration: bool = False
    example: str = "digits"
    runner: str = "om"
    devices: tuple[int, ...] = (0,)
    tune: bool = False
    rehearse: bool = False
    packed: bool = False


def read_settings(run_dir: Path) -> Settings:
    """Read ``port.yaml``; :class:`InputError` without one, or for another schema version."""
    path = run_dir / FILE
    if not path.is_file():
        raise InputError(
            f"'{run_dir}' is not a run directory: it has no {FILE}; 'portproof port --run-dir'"
            " makes one"
        )
    settings = load_yaml(path, Settings, "run directory settings")
    if settings.schema != SCHEMA:
        raise InputError(
            f"'{path}' has the schema {settings.schema!r}, this version reads {SCHEMA!r}; run the"
            " port again in a new folder"
        )
    return settings


def write_settings(run_dir: Path, settings: Settings) -> None:
    """Write ``port.yaml``, atomically, unless it already says the same."""
    text = yaml.safe_dump(
        msgspec.to_builtins(settings), sort_keys=False, allow_unicode=True, default_flow_style=None
    )
    path = run_dir / FILE
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)
