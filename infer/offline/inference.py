"""Offline inference: every sample of a set through a model, to single files or packed results.

Reading, inference and writing overlap: threads read ahead, one writes behind, and the session stays
in the thread that loaded it. Batches are always cut at the same places, so that an interrupted run
that continues gives the same bytes.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import portproof
from portproof import backend as backends
from portproof import rehearsal
from portproof.backend import (
    Array,
    LoadRequest,
    Session,
    TensorSpec,
    check_batch,
    check_feeds,
)
from portproof.convert.onnxfile.read import read_onnx
from portproof.core import progress
from portproof.core.errors import InputError
from portproof.core.files import flush_to_disk, sha256_of, write_text
from portproof.core.text import listed
from portproof.infer.offline.looped import Loop, in_loop, loop_facts, loop_files
from portproof.infer.offline.read import Batch, padded
from portproof.infer.offline.sources import Source, open_source
from portproof.infer.offline.write import (
    FILES,
    ResultFiles,
    Results,
    ResultWriter,
    check_batch_first,
    check_sizes,
)
from portproof.infer.offline.write_packed import FORMAT, PackedResults
from portproof.infer.runtimes.model_files import card_files, model_files, packages
from portproof.preprocess.pixels import normalisation
from portproof.proof.sidecar import FileRecord, Proof, proof_of, read_proof, record_of
from portproof.proof.work import Work

#: What of a :class:`LoadRequest` decides the results.
_LOADING = ("batch", "card", "device", "precision", "threads", "options")


def run(
    model: str | Path,
    info: str | Path | None,
    out: str | Path,
    *,
    images: str | Path | None = None,
    backend: str | None = None,
    batch: int = 1,
    card: str | None = None,
    form: str = "bin",
    device: str | None = None,
    precision: str | None = None,
    threads: int | None = None,
    options: Mapping[str, str] | None = None,
    workers: int | None = None,
    perf_file: str | Path | None = None,
    loop: Loop | None = None,
) -> Proof:
    """Run a model over samples and write ``out/<id>_<k>.<form>``, or packed results for the form
    ``pack``; returns the sidecar of ``out``, which is up to date if nothing changed.

    ``info``: an info list, or a packed folder; or None, and ``images`` is a folder of images that
    ``workers`` threads preprocess by the card's recipe. ``card``: name or path of the
    model card, which weights and images need. ``loop``: a user's function that calls the model
    (:mod:`portproof.infer.offline.looped`). The rate in the facts and in ``perf_file`` is
    ``end_to_end`` (file to result) and never to be compared with a bench. Raises
    :class:`InputError` for bad input, before anything is run as far as possible.
    """
    path = Path(model)
    name = backend or backends.default_for(path)
    backends.check_suffix(name, path)
    if form not in (*FILES, FORMAT):
        raise InputError(
            f"the result format is '{form}', one of {', '.join((*FILES, FORMAT))} was expected"
        )
    request = LoadRequest(
        batch, device, precision, threads, card, spinning=False, options=dict(options or {})
    )
    source = open_source(info, images, card, workers)
    parameters = {
        "backend": name,
        "format": form,
        "perf_file": str(perf_file) if perf_file else None,
        **{key: getattr(request, key) for key in _LOADING},
        **(source.parameters | (loop.parameters if loop else {})),
    }
    work = Work(
        "infer",
        Path(out),
        inputs={"model": model_files(path)} | card_files(card) | loop_files(loop) | source.files,
        parameters=parameters,
        packages=(*packages(name, card), *source.packages),
        simulated=rehearsal.is_active(),
    )
    if work.is_done():
        return read_proof(work.sidecar)
    _check_prepared(path, source)
    with _session(name, path, request) as session:
        to_do = _Run(work, *in_loop(session, card, loop), source, batch, form)
        return to_do.to_the_end(Path(perf_file) if perf_file else None)


def _check_prepared(model: Path, source: Source) -> None:
    """Refuse samples that the model would normalise a second time, or that nobody normalises, as
    far as sidecars and metadata show.
    """
    if source.prepared is None or not source.prepared.name:
        return
    expected = normalisation.from_proof(proof_of(model))
    if expected is None and model.suffix == ".onnx":
        expected = normalisation.from_metadata(
            read_onnx(model).metadata.get(normalisation.METADATA_KEY), str(model)
        )
    normalisation.check_normalisation(
        expected, proof_of(source.prepared), str(model), str(source.prepared)
    )


@contextlib.contextmanager
def _session(name: str, model: Path, request: LoadRequest) -> Iterator[Session]:
    session = backends.find(name).load(model, request)
    try:
        check_batch(model, session.inputs, request.batch)
        yield session
    finally:
        session.close()


@dataclass(slots=True)
class _Run:
    """One run over the samples. ``new`` and ``seconds`` are of this process alone."""

    work: Work
    session: Session
    inputs: tuple[TensorSpec, ...]
    source: Source
    batch: int
    form: str
    finished: set[str] = field(default_factory=set)
    records: list[FileRecord] = field(default_factory=list)
    with_nan: list[str] = field(default_factory=list)
    outputs: list[dict[str, Any]] = field(default_factory=list)
    new: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float | None:
        """Samples a second from the first read to the last write; None if all was finished."""
        return self.new / self.seconds if self.new else None

    def to_the_end(self, perf_file: Path | None) -> Proof:
        """From the check of the files to the sidecar."""
        hashed = self.source.hashed
        files = {
            role: [sha256_of(p) for p in paths]
            for role, paths in self.work.inputs.items()
            if role != hashed
        }
        identity = {"samples": self.source.check(self.inputs), "files": files}
        with self._results(identity) as results:
            self.work.begin(hashed_later=(hashed,))
            self._note_finished(results)
            self._infer(results)
            records = results.end()
            flush_to_disk()
            if perf_file:
                self._write_perf_file(perf_file)
                records.append(record_of(perf_file, self.work.root))
            fed = self.source.records(self.records, self.work.root)
            proof = self.work.finish(records, self._facts(), extra_inputs={hashed: fed})
        results.remove()
        self._say()
        return proof

    def _results(self, identity: Mapping[str, Any]) -> Results:
        outputs = [s.name for s in self.session.outputs]
        if self.form == FORMAT:
            return PackedResults(self.work, identity, outputs, self.source.ids)
        return ResultFiles(self.work, identity, outputs, self.form)

    def _note_finished(self, results: Results) -> None:
        self.finished, self.outputs = results.finished(self.source.ids), results.outputs
        if self.finished:
            progress.say(
                f"infer: continuing, {len(self.finished)} of {len(self.source.ids)} samples are"
                " finished"
            )

    def _infer(self, results: Results) -> None:
        """Run every batch that holds an unfinished sample."""
        ids = self.source.ids
        spans = [
            range(start, min(start + self.batch, len(ids)))
            for start in range(0, len(ids), self.batch)
        ]
        pending = [span for span in spans if any(ids[i] not in self.finished for i in span)]
        writer = ResultWriter(results, [s.name for s in self.session.outputs])
        self.with_nan = writer.with_nan
        began = time.perf_counter()
        with progress.meter("infer", len(ids), "samples", done=len(self.finished)) as meter, writer:
            for batch in self.source.batches(pending, self.inputs, self.work.root):
                arrays = self._run_one(batch)
                self.outputs = self.outputs or [
                    {"name": n, "dtype": a.dtype.name, "shape": list(a.shape[1:])}
                    for n, a in arrays.items()
                ]
                writer.put(batch.ids, arrays)
                self.records += batch.records
                new = sum(i not in self.finished for i in batch.ids)
                self.new += new
                meter.advance(new)
        self.seconds = time.perf_counter() - began
        self.outputs = self.outputs or [
            {"name": s.name, "dtype": s.dtype, "shape": list(s.shape[1:])}
            for s in self.session.outputs
        ]

    def _run_one(self, batch: Batch) -> dict[str, Array]:
        """One batch; a short one is padded only for a model whose batch is fixed, and the padding's
        results are dropped.
        """
        fixed = any(s.shape[0] is not None for s in self.inputs)
        feeds = padded(batch.feeds, self.batch) if fixed else batch.feeds
        check_feeds(feeds, self.inputs)
        results = self.session.run(feeds)
        check_batch_first(results, self.batch if fixed else len(batch.ids))
        check_sizes(results, self.outputs)
        return {n: a[: len(batch.ids)] for n, a in results.items()}

    def _facts(self) -> dict[str, Any]:
        rate = {
            "boundary": "end_to_end",
            "images_per_second": self.rate,
            "samples": self.new,
            "seconds": self.seconds,
        }
        return {
            "samples": len(self.source.ids),
            "continued_from": len(self.finished),
            "samples_with_nan": None if self.finished else len(self.with_nan),
            "outputs": self.outputs,
            "device": self.session.device,
            "precision": self.session.precision,
            "provider": self.session.provider,
            "end_to_end": rate,
            **loop_facts(self.session, continued=bool(self.finished)),
        }

    def _write_perf_file(self, path: Path) -> None:
        """The end-to-end rate in the form of the benchmark tool's perf file, under a first line
        that says what it is.

        ``[e2e]`` is all there is: samples per second, and milliseconds for all samples. Reading,
        inference and writing overlap, so they have no rates of their own here, and the interface
        rate is one that the benchmark tool takes on the device.
        """
        mark = f" {rehearsal.MARK}" if self.work.simulated else ""
        lines = [f"# PortProof {portproof.__version__} boundary=end_to_end{mark}"]
        if self.new:
            lines.append(
                f"[e2e] throughputRate: {self.rate:.6g}, latency: {1e3 * self.seconds:.6g}"
            )
        write_text(path, "\n".join(lines) + "\n")

    def _say(self) -> None:
        rate = (
            ""
            if self.rate is None
            else (
                f", {self.rate:.1f} samples/s end_to_end (file to result; not comparable with a"
                " bench)"
            )
        )
        progress.say(f"infer: {len(self.source.ids)} samples in {self.work.artefact}{rate}")
        if self.with_nan:
            progress.warn(
                f"{len(self.with_nan)} of {self.new} samples have a NaN in an output"
                f" ({listed(self.with_nan)})"
            )
