"""Several builds of one model: by ONNX Runtime's levels and threads, by atc, by trtexec, or
simulated.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from portproof.convert.ascend.atc import AtcRequest
from portproof.convert.ascend.offline_model import convert as convert_by_atc
from portproof.convert.nvidia.engines import EngineRequest
from portproof.convert.nvidia.engines import convert as convert_by_trtexec
from portproof.core.errors import InputError
from portproof.infer.backends.ort import LEVELS

#: Threads of ONNX Runtime's builds: sums are cut into other parts.
_THREADS = ("1", "2", "4")
#: What a simulated build changes: weights by the last bits of float16, as another choice of kernels
#: changes sums; its speed by some per cent.
_SIMULATED_ROUNDING, _SIMULATED_SPEED = 2.0**-11, 0.03


@dataclass(frozen=True)
class VariantBuild:
    """One build. ``backend`` runs ``file`` with ``options``, of which one is ``threads``; ``says``:
    what differs. ``speed``: of a simulated build, its rate over the model's.
    """

    label: str
    backend: str
    file: Path
    says: str
    options: Mapping[str, str] = field(default_factory=dict)
    speed: float | None = None


@dataclass(frozen=True)
class Wanted:
    """What is to be built: ``count`` times, at a batch, into a folder."""

    model: Path
    folder: Path
    count: int
    batch: int
    target: str
    precision: str
    seed: int


def by_ort(wanted: Wanted) -> list[VariantBuild]:
    """ONNX Runtime optimises when it loads: a level and a number of threads is a build."""
    kinds = [(level, threads) for threads in _THREADS for level in reversed(LEVELS)]
    if wanted.count > len(kinds):
        raise InputError(
            f"--builds is {wanted.count}: ONNX Runtime has {len(kinds)} builds here, {len(LEVELS)}"
            f" levels with {', '.join(_THREADS)} threads"
        )
    return [
        VariantBuild(
            f"build{at}",
            "ort",
            wanted.model,
            f"level {level}, {threads} threads",
            {"level": level, "threads": threads},
        )
        for at, (level, threads) in enumerate(itertools.islice(kinds, wanted.count))
    ]


def by_atc(wanted: Wanted) -> list[VariantBuild]:
    """The same command several times, each into a folder of its own."""
    builds = []
    for at in range(wanted.count):
        out = wanted.folder / f"build{at}"
        convert_by_atc(
            AtcRequest(str(wanted.model), str(out), wanted.target, batches=(wanted.batch,))
        )
        file = out / f"{wanted.model.stem}_bs{wanted.batch}.om"
        builds.append(VariantBuild(f"build{at}", "om", file, "atc, the same command"))
    return builds


def by_trtexec(wanted: Wanted) -> list[VariantBuild]:
    """The same command several times, each with a timing cache of its own folder."""
    builds = []
    for at in range(wanted.count):
        request = EngineRequest(
            wanted.model,
            str(wanted.folder / f"build{at}"),
            (wanted.batch,),
            wanted.precision,
        )
        convert_by_trtexec(request)
        engine = request.engine(wanted.batch)
        builds.append(VariantBuild(f"build{at}", "trt", engine, "trtexec, the same command"))
    return builds


def by_rehearsal(wanted: Wanted) -> list[VariantBuild]:
    """Simulated builds, the same for the same seed: float weights off by a random part of float16's
    last bit, and a random speed.
    """
    import onnx
    from onnx import numpy_helper

    from portproof.convert.onnxfile import save
    from portproof.convert.onnxfile.read import load_onnx

    builds = []
    for at in range(wanted.count):
        generator = np.random.default_rng([wanted.seed, at])
        model = load_onnx(wanted.model)
        for weight in model.graph.initializer:
            if weight.data_type == onnx.TensorProto.FLOAT:
                values = numpy_helper.to_array(weight)
                shift = generator.uniform(-1, 1, values.shape) * _SIMULATED_ROUNDING
                changed = (values * (1 + shift)).astype(np.float32)
                weight.CopyFrom(numpy_helper.from_array(changed, weight.name))
        file = wanted.folder / f"REHEARSAL_build{at}" / "model.onnx"
        file.parent.mkdir(parents=True, exist_ok=True)
        save.save(model, file)
        speed = float(np.exp(generator.normal(0, _SIMULATED_SPEED)))
        says = f"simulated, seed {wanted.seed}"
        builds.append(VariantBuild(f"REHEARSAL_build{at}", "ort", file, says, speed=speed))
    return builds


BUILDERS: dict[str, Callable[[Wanted], list[VariantBuild]]] = {
    "ort": by_ort,
    "atc": by_atc,
    "trtexec": by_trtexec,
    "rehearsal": by_rehearsal,
}
