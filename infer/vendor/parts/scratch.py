"""The scratch folder of a tool's run: empty at the beginning, removed at the end."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from portproof.backend import TensorSpec
from portproof.core.errors import InputError
from portproof.manifest import Sample

_MARK = ".made-by-portproof"


@contextlib.contextmanager
def scratch_beside(artefact: Path) -> Iterator[Path]:
    """An empty folder beside an artefact, removed afterwards. The remains of a killed run are
    removed first; a folder that PortProof did not make is refused.
    """
    folder = artefact.absolute().with_name(f".{artefact.name}.tool")
    if folder.exists() and not (folder / _MARK).is_file():
        raise InputError(
            f"'{folder}' is there and was not made by this command; remove it or choose another"
            " --out"
        )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / _MARK).touch()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_sizes(samples: Sequence[Sample], inputs: Sequence[TensorSpec] | None = None) -> list[int]:
    """Bytes of a sample, for each input; :class:`InputError` if samples differ, since tools look at
    the first file only, or if they do not fit the model's inputs, as far as these are known: msame
    runs on files of any size.
    """
    sizes = [_size(path) for path in samples[0].files]
    if inputs is not None and len(inputs) != len(sizes):
        names = ", ".join(s.name for s in inputs)
        raise InputError(
            f"the samples have {len(sizes)} files each, the model has {len(inputs)} inputs"
            f" ({names}); make the info list again"
        )
    for spec, path, size in zip(inputs or (), samples[0].files, sizes, strict=False):
        if spec.nbytes(1) not in (None, size):
            shape = "x".join(map(str, spec.sample_shape))
            raise InputError(
                f"the sample file '{path}' has {size} bytes, input '{spec.name}' ({spec.dtype}"
                f" {shape}) takes {spec.nbytes(1)}; preprocess it again for this model"
            )
    for sample in samples:
        for path, size in zip(sample.files, sizes, strict=True):
            if _size(path) != size:
                raise InputError(
                    f"the sample file '{path}' has {_size(path)} bytes, '{samples[0].id}' has"
                    f" {size}: all samples must be of one size; preprocess again"
                )
    return sizes


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        hint = (
            ""
            if os.path.isabs(path)
            else (
                " (paths in an info list are relative to the working directory, here"
                f" '{os.getcwd()}')"
            )
        )
        raise InputError(f"the sample file '{path}' is missing{hint}") from None


def link_samples(folder: Path, samples: Sequence[Sample]) -> list[Path]:
    """One folder an input with a link ``<id>.bin`` a sample: no name collides or is cut."""
    folders = [folder / f"input{k}" for k in range(len(samples[0].files))]
    for number, target in enumerate(folders):
        target.mkdir()
        for sample in samples:
            (target / f"{sample.id}.bin").symlink_to(os.path.abspath(sample.files[number]))
    return folders
