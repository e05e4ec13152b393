"""Profiles taken here: ONNX Runtime's and PyTorch's own profilers around some calls of a model."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from portproof import backend as backends
from portproof.backend import Array, TensorSpec, check_batch, complete
from portproof.core import plugins
from portproof.core.errors import InputError, MissingPackageError, ToolError
from portproof.core.files import existing_file, open_regular
from portproof.infer.profiling.op_times import Profile
from portproof.infer.profiling.readers import ort_trace, torch_trace
from portproof.infer.runtimes.model_files import sample_shapes
from portproof.infer.timing.processes.feed import Feeding
from portproof.infer.timing.subject import Subject, configured, parse_subject

_READERS = "portproof.infer.profiling.readers"
#: Where a profile comes from that is not taken here.
_ELSEWHERE = {
    "trt": "trtexec --exportProfile FILE.json",
    "om": "msprof, which writes op_summary_*.csv",
    "openvino": "benchmark_app, or ONNX Runtime on the same file",
}
_HEAD = 4096


@dataclass(frozen=True, slots=True)
class Asked:
    """How a model is run while it is profiled."""

    batch: int = 1
    card: str | None = None
    calls: int = 10
    warmup: int = 3
    info: str | None = None


def profiles_of(texts: Sequence[str], asked: Asked, common: Subject) -> list[Profile]:
    """The profiles of ``LABEL=BACKEND:FILE`` or ``LABEL=FILE``, with what is ``common`` to all that
    are taken here; :class:`InputError` for equal labels.
    """
    sides: list[Subject | tuple[str, str]] = []
    for text in texts:
        label, equals, rest = text.partition("=")
        if not (label and equals and rest):
            raise InputError(f"'{text}' was given, LABEL=BACKEND:FILE or LABEL=FILE was expected")
        known = rest.partition(":")[0].replace("_", "-") in backends.names()
        sides.append(parse_subject(text) if known else (label, rest))
    labels = [s.label if isinstance(s, Subject) else s[0] for s in sides]
    if len(set(labels)) < len(labels):
        raise InputError(f"two subjects are called '{labels[0]}': give each a label of its own")
    return [
        profile_of(configured([s], common)[0], asked)
        if isinstance(s, Subject)
        else read_profile(*s)
        for s in sides
    ]


def profile_of(subject: Subject, asked: Asked) -> Profile:
    """Profile a subject whose backend is ``ort``, ``eager`` or ``inductor``.

    Raises :class:`InputError` for another, with what to do instead, and what loading raises.
    """
    takers: dict[str, Callable[[Subject, Asked], Profile]] = {
        "ort": _by_ort,
        "eager": _by_torch,
        "inductor": _by_torch,
    }
    taker = takers.get(subject.backend)
    if taker is None:
        backends.find(subject.backend)
        other = _ELSEWHERE.get(subject.backend.replace("_", "-"), "its own profiler")
        raise InputError(
            f"the backend '{subject.backend}' is not profiled here: make a file by {other}, and"
            f" give {subject.label}=FILE"
        )
    return msgspec.structs.replace(taker(subject, asked), label=subject.label)


def read_profile(label: str, path: str) -> Profile:
    """Read a profiler's file; its format is found by its content."""
    file = existing_file(path, f"profile of '{label}'")
    with open_regular(file, "profile") as stream:
        head = stream.read(_HEAD).decode("utf-8", "replace").lstrip("\ufeff")
    for name in plugins.names(_READERS):
        reader: Any = plugins.load(_READERS, name, "reader")
        if reader.is_it(head):
            found: Profile = reader.read(file)
            return msgspec.structs.replace(found, label=label)
    raise InputError(
        f"'{path}' is no profile that is known: ONNX Runtime's JSON, PyTorch's Chrome trace,"
        " trtexec's --exportProfile or a log with --dumpProfile, msprof's op_summary or"
        " op_statistic CSV was expected"
    )


def _by_ort(subject: Subject, asked: Asked) -> Profile:
    """ONNX Runtime's profiler, on the processor: it writes a file when its session ends."""
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingPackageError("onnxruntime", "profiling by ONNX Runtime", "ort") from error
    path = subject.model(asked.batch)
    backends.check_suffix("ort", path)
    module = backends.find("ort")
    # The usual session finds what is wrong with the file or the options, and says what it takes.
    loaded = module.load(path, subject.request(asked.batch, asked.card))
    check_batch(path, loaded.inputs, asked.batch)
    feeds = _feeds(loaded.inputs, asked)
    loaded.close()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.enable_profiling = True
    if subject.threads:
        options.intra_op_num_threads = subject.threads
    with tempfile.TemporaryDirectory(prefix="portproof-profile-") as folder:
        options.profile_file_prefix = str(Path(folder, "ort"))
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        try:
            # The reader leaves out the first call.
            for index in range(asked.calls + 1):
                session.run(None, feeds[index % len(feeds)])
        except Exception as error:  # ONNX Runtime's own exceptions have no common class
            raise ToolError(
                f"ONNX Runtime failed while it was profiled: {' '.join(str(error).split())[:400]}"
            ) from error
        finally:
            written = session.end_profiling()
        return ort_trace.read(Path(written))


def _by_torch(subject: Subject, asked: Asked) -> Profile:
    """PyTorch's profiler, with the device's kernels where there is one."""
    path = subject.model(asked.batch)
    backends.check_suffix(subject.backend, path)
    session = backends.find(subject.backend).load(path, subject.request(asked.batch, asked.card))
    import torch  # installed, or loading has raised an error
    from torch.profiler import ProfilerActivity, profile, record_function

    feeds = _feeds(session.inputs, asked)
    for index in range(max(1, asked.warmup)):
        session.run(feeds[index % len(feeds)])
    session.sync()
    activities = [ProfilerActivity.CPU]
    if session.device.startswith("cuda") and torch.cuda.is_available():
        activities.append(ProfilerActivity.CUDA)
    with profile(activities=activities) as profiler:
        for index in range(asked.calls):
            with record_function(torch_trace.CALL):
                session.run(feeds[index % len(feeds)])
                session.sync()
    with tempfile.TemporaryDirectory(prefix="portproof-profile-") as folder:
        trace = Path(folder, "torch.json")
        profiler.export_chrome_trace(str(trace))
        found = torch_trace.read(trace)
    session.close()
    return found


def _feeds(inputs: Sequence[TensorSpec], asked: Asked) -> list[dict[str, Array]]:
    specs = complete(tuple(inputs), sample_shapes(asked.card))
    return Feeding("real" if asked.info else "random", asked.info, {}).batches(specs, asked.batch)
