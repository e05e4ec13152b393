"""Pack a finished run directory into a parcel."""

from __future__ import annotations

import datetime
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import msgspec

import portproof
from portproof.core import progress
from portproof.core.errors import InputError, MissingPackageError
from portproof.core.files import atomic_writer, sha256_of
from portproof.manifest import sample_id
from portproof.proof.lineage import Stage, read_stages
from portproof.proof.lock import locked_artefact
from portproof.reports.evidence.draw import draw, seed_of
from portproof.reports.parcels.manifest import MANIFEST, SIGNATURE, Manifest, Member
from portproof.reports.parcels.signing import private_key, sign
from portproof.reports.port.data import read_run
from portproof.reports.port.seal import REPORT
from portproof.rundir.layout import RunDir

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

#: Model files, which are large and may be secret.
MODELS = (".pth", ".pt", ".onnx", ".om", ".plan", ".engine", ".safetensors")
#: Stages whose outputs are samples, made again from the images.
_SAMPLES = ("preprocess", "samples", "encode")


def pack(
    run_dir: Path,
    out: Path,
    *,
    key: Path | None = None,
    who: str | None = None,
    samples: int = 20,
    models: bool = False,
) -> Manifest:
    """Write the parcel of a run directory, which needs its report; returns what is in it.

    Results, figures, logs and reports go with it, of the samples and their images as many as a
    challenge without words draws first, and model files only with ``models``. Raises
    :class:`InputError` for a run directory without a report, and for an ``out`` that is there or
    that another process is writing.
    """
    # Looked at under the lock: of two at once the second does not replace the first's parcel.
    with locked_artefact(out, "--out"):
        if out.exists():
            raise InputError(f"'{out}' is there already: name a new file with --out")
        signer = private_key(key) if key else None
        seed = seed_of(run_dir, "")
        chosen = _chosen(run_dir, read_stages(run_dir), seed, samples, models)
        return _write(run_dir, out, chosen, signer, who)


def _write(
    run_dir: Path,
    out: Path,
    chosen: tuple[list[str], list[str]],
    signer: Ed25519PrivateKey | None,
    who: str | None,
) -> Manifest:
    kept, left_out = chosen
    with progress.meter("pack", 2 * len(kept), "files") as meter:
        members = []
        for name in kept:
            size = (run_dir / name).stat().st_size
            members.append(Member(name, size, sha256_of(run_dir / name)))
            meter.advance()
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        manifest = Manifest(
            portproof=portproof.__version__,
            model=read_run(run_dir).model_name,
            report_sha256=sha256_of(run_dir / REPORT),
            files=members,
            left_out=left_out,
            who=who,
            when=now,
        )
        text = msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"
        signature = msgspec.json.encode(sign(signer, text)) if signer else b"null"
        with (
            atomic_writer(out) as file,
            _compressed(file) as stream,
            tarfile.open(fileobj=stream, mode="w|", format=tarfile.USTAR_FORMAT) as archive,
        ):
            _add(archive, MANIFEST, len(text), io.BytesIO(text))
            _add(archive, SIGNATURE, len(signature), io.BytesIO(signature))
            for member in members:
                with (run_dir / member.path).open("rb") as source:
                    _add(archive, member.path, member.size, source)
                meter.advance()
    return manifest


def _compressed(file: IO[bytes]) -> Any:
    try:
        import zstandard
    except ImportError as error:
        raise MissingPackageError("zstandard", "a parcel", "parcel") from error
    return zstandard.ZstdCompressor(level=6).stream_writer(file, closefd=False)


def _add(archive: tarfile.TarFile, name: str, size: int, source: IO[bytes]) -> None:
    """A member without what differs from host to host: times, owners, modes."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    try:
        archive.addfile(info, source)
    except ValueError as error:
        raise InputError(
            f"'{name}' does not fit into a parcel ({error}): a path has 255 bytes at most, a file"
            " 8 GiB"
        ) from error


def _chosen(
    run_dir: Path, stages: list[Stage], seed: str, samples: int, models: bool
) -> tuple[list[str], list[str]]:
    """The files that are packed and those that are not, both sorted."""
    judged = [stage for stage in stages if stage.artefact == RunDir.prep]
    drawn = set(draw(sorted(map(sample_id, _images(judged))), seed, samples))
    mine = {path for path in _images(judged) | _samples(judged) if sample_id(path) in drawn}
    heavy = may_stay_behind(stages)
    kept, left_out = list[str](), list[str]()
    for name in _files(run_dir):
        is_model = Path(name).suffix in MODELS
        fits = (models and is_model) or name in mine or name not in heavy
        (kept if fits else left_out).append(name)
    return kept, left_out


def may_stay_behind(stages: list[Stage]) -> set[str]:
    """Files that a parcel need not hold: models, images, and samples made of these."""
    records = (r for s in stages for r in (*s.proof.outputs, *(r for _, r in s.records)))
    models = {record.path for record in records if Path(record.path).suffix in MODELS}
    return models | _images(stages) | _samples(stages)


def _images(stages: list[Stage]) -> set[str]:
    return {record.path for s in stages for record in s.proof.inputs.get("images", [])}


def _samples(stages: list[Stage]) -> set[str]:
    outputs = (r for s in stages if s.proof.stage in _SAMPLES for r in s.proof.outputs)
    return {record.path for record in outputs if record.path.endswith(".bin")}


def _files(run_dir: Path) -> Iterator[str]:
    """Every regular file but hidden ones, sorted."""
    for path in sorted(run_dir.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(run_dir).parts)
        if path.is_file() and not path.is_symlink() and not hidden:
            yield path.relative_to(run_dir).as_posix()
