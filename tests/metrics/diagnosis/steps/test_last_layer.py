"""When a last layer is said to have other weights."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from portproof.metrics.diagnosis.candidates import Found
from portproof.metrics.diagnosis.model.network import Layer
from portproof.metrics.diagnosis.steps.last_layer import other_last_layer

FEATURES, CLASSES = 8, 5
HEAD = np.random.default_rng(1).normal(size=(FEATURES, CLASSES))


def features(count: int) -> np.ndarray:
    return np.random.default_rng(2).normal(size=(count, FEATURES)).astype(np.float32)


def found(count: int, port: np.ndarray, behind: str = "Softmax") -> Found | None:
    layer = Layer("fc", "Gemm", "logits", "pooled", -1, "fc.weight", "fc.bias")
    network: Any = SimpleNamespace(
        output="class",
        makers={"class": 0},
        model=SimpleNamespace(
            graph=SimpleNamespace(node=[SimpleNamespace(op_type=behind, input=["logits"])])
        ),
        layers=[layer],
        weights={"fc.weight": HEAD.T},
        values=lambda samples, names: {"pooled": samples},
    )
    return other_last_layer(network, lambda: features(count), port)


def test_any_matrix_and_bias_are_found() -> None:
    answer = found(40, features(40) @ HEAD[::-1] + 3.0)
    assert answer is not None and answer.candidate.fault == "layer-weights"
    assert answer.candidate.evidence.startswith("fc with other weights")
    assert "fitted to 32 samples; on the 8 others" in answer.candidate.evidence


@pytest.mark.parametrize("scale", [1.0, 1e-4])
def test_what_is_not_linear_is_not_also_where_it_is_small_beside_a_constant(scale: float) -> None:
    """Outputs that hardly differ between samples are fitted by a constant."""
    assert found(40, 10 + scale * np.abs(features(40) @ HEAD)) is None


def test_as_many_samples_as_numbers_prove_nothing() -> None:
    assert found(11, features(11) @ HEAD[::-1]) is None


def test_an_operator_of_its_own_behind_the_layer_hides_it() -> None:
    assert found(40, features(40) @ HEAD[::-1], behind="Mul") is None
