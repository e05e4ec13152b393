"""Outputs of any shape, type and value: a prediction, or one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portproof.core import plugins
from portproof.core.errors import InputError
from portproof.metrics.decoding.arrays import Sample
from portproof.metrics.truth.questions import Question
from portproof.metrics.truth.sentences import Sentence
from portproof.postprocess import Postprocess

KINDS: dict[str, list[dict[str, Any]]] = {
    "boxes": [
        {"iou_threshold": 0.5, "frame": {"rule": "letterbox"}},
        {"columns": "score_label", "frame": {"rule": "stretch"}},
        {"boxes": 1, "scores": 2, "labels": 3, "relative": True, "frame": {"rule": "none"}},
        {"objectness": True, "transposed": True, "activation": "sigmoid", "multi_label": False},
        {"activation": "softmax", "background": "first", "class_ids": "coco80"},
    ],
    "masks": [{"boxes": 1, "scores": 2, "masks": 3, "frame": {"rule": "stretch"}}],
    "keypoints": [{"boxes": 1, "scores": 2, "points": 3, "frame": {"rule": "stretch"}}],
    "label_map": [{}, {"ready": True}, {"resize": "nearest", "frame": {"rule": "letterbox"}}],
    "ctc": [{"symbols": ["a", "b"], "output": 1}, {"symbols": ["a"], "ready": True, "output": 1}],
    "classes": [{"output": 1}, {"output": 1, "class_ids": [3, 4]}],
    "tags": [{"names": ["O", "B-X"], "output": 1}, {"names": ["O"], "ready": True, "output": 1}],
    "spans": [{"start": 1, "end": 2, "null_threshold": 0.0}],
    "text": [{"vocabulary": "v.txt", "output": 1}, {"vocabulary": "v.txt", "scores": True}],
    "image": [{"output": 1}, {"output": 1, "layout": "HWC", "scale": [1, 2, 3]}],
    "regions": [{"output": 1, "frame": {"rule": "stretch"}}],
    "embedding": [{"output": 1}],
    "log_probabilities": [{"output": 1}, {"output": 1, "values": "probabilities"}],
}
VALUES = st.sampled_from([0.0, 1.0, 0.5, -1.0, 7.0, np.nan, np.inf, -np.inf, 1e38, 3e5])
SHAPES = st.lists(st.sampled_from([0, 1, 2, 3, 4, 5, 6, 9]), max_size=4)
TYPES = st.sampled_from(["float32", "float16", "int64", "uint8", "float64"])


def test_every_kind_is_tried() -> None:
    assert set(plugins.names("portproof.metrics.postprocess")) == set(KINDS)


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray:
    shape, kind = draw(SHAPES), draw(TYPES)
    values = draw(st.lists(VALUES, min_size=1, max_size=7))
    with np.errstate(all="ignore"):
        whole = kind in ("int64", "uint8")
        numbers = np.nan_to_num(values, posinf=9, neginf=-9) % 200 if whole else values
        return np.resize(np.asarray(numbers), shape).astype(kind)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("kind", KINDS)
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_any_outputs_end_in_a_prediction_or_a_sentence(
    tmp_path: Path, kind: str, data: st.DataObject
) -> None:
    (tmp_path / "v.txt").write_text("a\nb\n")
    said = data.draw(st.sampled_from(KINDS[kind]))
    record = msgspec.convert({"kind": kind, **said}, Postprocess)
    module = plugins.load("portproof.metrics.postprocess", kind, "kind")
    count = 1 if "output" in said or not any(k in said for k in ("boxes", "start")) else 3
    outputs = {f"o{i}": data.draw(arrays()) for i in range(count)}
    context: Any = data.draw(
        st.sampled_from([None, Sentence(("a", "b"), ()), Question((), "ab", (None, (0, 1)))])
    )
    size = data.draw(st.sampled_from([None, (4, 6), (300, 2)]))
    sample = Sample("s", size, data.draw(st.sampled_from([None, (5, 5)])), context=context)
    try:
        module.decoder(record, tmp_path)(outputs, sample)
    except InputError as error:
        assert len(str(error)) > 20
