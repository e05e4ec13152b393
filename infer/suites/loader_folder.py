"""The folder of an engine loader (``config.yaml`` and ``load.py``) as a suite of its own."""

from __future__ import annotations

from pathlib import Path

from portproof.infer.suites.suite_file import Suite, SuiteModel, SuiteSubject, of_sizes
from portproof.preprocess.cards.engine_cards import read_configuration

#: PyTorch, ONNX and TensorRT, as in the source, and OpenVINO.
_SUBJECTS = (
    SuiteSubject(label="PyTorch", backend="eager"),
    SuiteSubject(label="ONNX", backend="ort"),
    SuiteSubject(label="OpenVINO", backend="openvino"),
    SuiteSubject(label="TensorRT", backend="trt"),
)


def suite_of_folder(folder: Path) -> Suite:
    """Each of the configuration's sizes (least, usual, largest) by every engine."""
    config = read_configuration(folder)
    known = config.inputs[0].shapes.optimization
    sizes = (
        tuple(dict.fromkeys(tuple(s[2:4]) for s in (known.min, known.opt, known.max)))
        if known is not None and len(known.opt) == 4
        else ()
    )
    entry = SuiteModel(model=f"engine:{folder}", title=config.name, sizes=sizes)
    fixed = config.inputs[0].shapes.runtime[0]
    return Suite(
        about=f"Inference time of {config.name} between engines.",
        form="engines",
        models=tuple(of_sizes(entry)),
        subjects=_SUBJECTS,
        batches=(fixed if fixed > 0 else 1,),
    )
