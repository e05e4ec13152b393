"""Suite files: models, what executes them, and the form of the page that comes of it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from portproof import backend as backends
from portproof.core import plugins
from portproof.core.errors import InputError
from portproof.core.files import existing_file
from portproof.core.yamlfile import data_file, load_yaml, names_in
from portproof.infer.timing.processes.feed import Kind

_FORMS = "portproof.infer.suites.forms"
Count = Annotated[int, msgspec.Meta(ge=1)]


class SuiteSubject(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One column: as in :class:`portproof.infer.timing.subject.Subject`, without a file, since it
    is each model's weights, ONNX file or engine. ``file``: one of the user's own in their place.
    """

    label: str
    backend: str
    device: str | None = None
    precision: str | None = None
    threads: int | None = None
    options: dict[str, str] = {}
    file: str | None = None


class SuiteModel(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One model. ``model``: what may be given as CARD, or a card's path from the suite file.
    ``title``: its name on the page; ``source``: where the published figures' model comes from;
    ``weights`` and ``info``: its own weights file and list of real inputs; ``sizes``: input sizes
    of an engine folder (height and width first), each of which is a model of its own.
    """

    model: str
    title: str | None = None
    source: str | None = None
    weights: str | None = None
    info: str | None = None
    batches: tuple[Count, ...] | None = None
    sizes: tuple[tuple[Count, ...], ...] = ()

    @property
    def name(self) -> str:
        """Its name on the page."""
        return self.title or self.model

    def is_called(self, text: str) -> bool:
        """Whether a user means it: by its title, its card, or the name of its card's file."""
        return text in (self.name, self.model, Path(self.model).stem)


class Suite(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The content of a suite file.

    ``form``: a file of ``infer/suites/forms``. ``weights``: a folder that holds the files which the
    cards name, or None for random ones. ``images``: a folder of images, from which each model's
    inputs are made by its recipe, with ``labels`` for the figures of accuracy. ``calls``: counted
    calls a subject and batch, where no other number is asked for. ``over``: the subjects that the
    ratios are over (none: the first). ``top_n``: also count how often the right class is among the
    first five, over so many samples. ``clients`` of each subject call at the same time,
    ``requests`` in all.
    """

    about: str
    models: tuple[str | SuiteModel, ...]
    subjects: tuple[SuiteSubject, ...]
    form: str = "plain"
    batches: tuple[Count, ...] = (1, 2, 4, 8, 16, 32)
    inputs: Kind = "random"
    weights: str | None = None
    images: str | None = None
    labels: str | None = None
    opset: int = 11
    calls: Count | None = None
    over: tuple[str, ...] = ()
    top_n: Count | None = None
    clients: Count | None = None
    requests: Count | None = None

    def __post_init__(self) -> None:
        if not self.models or not self.subjects or not self.batches:
            raise ValueError(
                "at least one of each was expected under 'models', 'subjects' and 'batches'"
            )
        forms = plugins.names(_FORMS)
        if self.form not in forms:
            raise ValueError(f"`form`: there is no form '{self.form}', there is {', '.join(forms)}")
        unknown = sorted(set(self.over) - {s.label for s in self.subjects})
        if unknown:
            raise ValueError(f"`over`: there is no subject '{unknown[0]}'")
        if self.clients and not self.requests:
            raise ValueError("`clients`: they need 'requests', how many in all")
        if self.labels and not self.images:
            raise ValueError("`labels`: they are of 'images', which are missing")

    @property
    def entries(self) -> tuple[SuiteModel, ...]:
        """The models, each as a record."""
        return tuple(SuiteModel(model=m) if isinstance(m, str) else m for m in self.models)


def read_suite(text: str | Path) -> Suite:
    """Read a suite: a name in the catalog, a YAML file of ours or in Blade's fields, or the folder
    of an engine loader. :class:`InputError` names the line that is wrong.
    """
    if Path(text).is_dir() and str(text) not in names_in("suites"):
        from portproof.infer.suites.loader_folder import suite_of_folder

        return suite_of_folder(Path(text))
    path = data_file("suites", str(text), "suite", "or give a path")
    from portproof.infer.suites import blade_fields

    if blade_fields.has_them(path):
        return blade_fields.read(path)
    suite = load_yaml(path, Suite, "suite")
    for subject in suite.subjects:
        backends.find(subject.backend)
    entries = tuple(
        sized
        for entry in suite.entries
        for one in registered(entry, path.parent)
        for sized in of_sizes(
            msgspec.structs.replace(one, model=_found(one.model, path.parent), title=one.name)
        )
    )
    names = [entry.name for entry in entries]
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise InputError(f"suite '{text}' has the model '{double[0]}' twice; give each a 'title'")
    return msgspec.structs.replace(suite, models=entries)


def registered(entry: SuiteModel, folder: Path) -> list[SuiteModel]:
    """For a Python file, a model for each function that it registers by ``@register_model``; the
    entry itself for anything else.
    """
    if not entry.model.endswith(".py"):
        return [entry]
    from portproof.convert.pytorch import registry
    from portproof.core.usercode import load_file, own_folder

    source = existing_file(folder / entry.model, "file of models").resolve()
    with own_folder(source), registry.collected() as found:
        load_file(source)
    if not found:
        raise InputError(
            f"'{source}' registers no model: put '@register_model' (from portproof import"
            " register_model) over each function that builds one"
        )
    return [
        msgspec.structs.replace(entry, model=f"{source}:{thing.__name__}", title=name)
        for name, thing in found.items()
    ]


def of_sizes(entry: SuiteModel) -> list[SuiteModel]:
    """An entry a size; the entry itself where none are named."""
    sizes = ["x".join(map(str, size[:2])) for size in entry.sizes]
    if sizes and not entry.model.startswith("engine:"):
        raise InputError(
            f"the model '{entry.name}' has sizes, which only the folder of an engine loader may"
            " have; leave them out"
        )
    return [
        msgspec.structs.replace(
            entry, model=f"{entry.model}@{size}", title=f"{entry.name} {size}", sizes=()
        )
        for size in sizes
    ] or [entry]


def _found(model: str, folder: Path) -> str:
    """A card's path or an engine folder beside the suite file, else the text as it is."""
    beside = folder / model
    if (model.endswith((".yaml", ".yml")) or os.sep in model) and beside.exists():
        return f"engine:{beside}" if beside.is_dir() else str(beside)
    return model


def folder_of(model: str) -> str:
    """A model's folder inside the suite's.

    >>> folder_of("timm:regnety_016.pycls_in1k")
    'timm_regnety_016.pycls_in1k'
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "_", model).lstrip("._") or "model"


def with_requests(suite: Suite, clients: int | None, requests: int | None) -> Suite:
    """The suite with other clients or requests; :class:`InputError` where it has none."""
    if suite.requests is None and (clients or requests):
        raise InputError(
            "--clients and --requests are for a suite that has them, as torchpipe; leave them out"
        )
    return msgspec.structs.replace(
        suite, clients=clients or suite.clients, requests=requests or suite.requests
    )


def with_batches(suite: Suite, batches: Sequence[int] | None) -> Suite:
    """The suite at other batch sizes, also of models that have their own."""
    if not batches:
        return suite
    entries = tuple(msgspec.structs.replace(e, batches=None) for e in suite.entries)
    return msgspec.structs.replace(suite, batches=tuple(batches), models=entries)
