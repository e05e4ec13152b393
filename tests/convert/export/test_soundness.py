"""What a model is, said before the exporter begins; and models that a plain exporter refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from portproof.core.errors import InputError, ToolError

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
nn = torch.nn
F = nn.functional


def _nan(n: Any) -> None:
    n.fc.weight.data[0, 0] = float("nan")


def _norm(norm: Any) -> Any:
    return lambda n: setattr(n, "n", norm)


def _normed(n: Any, x: Any) -> Any:
    return n.fc(torch.relu(n.n(n.c(x))).mean((2, 3)))


def _reshaped(count: int) -> Any:
    return lambda n, x: n.fc(n.c(x).reshape(count, 8, 16).mean(2))


def _squeezed(n: Any, x: Any) -> Any:
    return n.fc(F.adaptive_avg_pool2d(n.c(x), 1).squeeze())


def _halved(n: Any, x: Any) -> Any:
    return n.head(x.half()).float()


class Stubborn(nn.Module):
    """Stays in training mode."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.fc, self.d = nn.Linear(3, 5), nn.Dropout(p)

    def train(self, mode: bool = True) -> Any:
        return super().train(True)

    def forward(self, x: Any) -> Any:
        return self.d(self.fc(x.mean((2, 3))))


@pytest.mark.parametrize(
    ("forward", "prepare", "request_", "reason"),
    [
        (lambda n, x: n.head(x), _nan, {}, r"fc.weight \(NaN\)"),
        (lambda n, x: F.dropout(n.head(x), 0.1), None, {}, "the model is random: two runs on"),
        (lambda n, x: n.head(x) + torch.randn(10), None, {}, "the model is random: two runs on"),
        (_squeezed, None, {}, r"at batch 1 the model gives output 'class' of shape \(10,\), with"),
        (_squeezed, None, {"batch": 1}, r"at batch 1 .* squeeze\(\)\?"),
        (_reshaped(2), None, {}, "the batch 2 is built into the model: use --batch 2"),
        (_reshaped(4), None, {}, "the batch 4 is built into the model: use --batch 4"),
        (_reshaped(2), None, {"batch": 3}, "the batch 2 is built into the model: use --batch 2"),
        (lambda n, x: n.fc.weight, None, {}, r"shape \(10, 8\), whose first dimension is not the"),
        (lambda n, x: n.head(x).sum(), None, {}, r"shape \(\), whose first dimension is not the"),
        (lambda n, x: n.head(x)[n.head(x)[:, 0] > 0], None, {}, "depends on the data"),
        (lambda n, x: n.head(x.permute(0, 2, 3, 1)), None, {}, r"does not take .* RuntimeError: "),
        (lambda n, x: 1 / 0, None, {}, "ZeroDivisionError"),
        (lambda n, x: n.head(x) * float("nan"), None, {}, "own output 'class' holds NaN"),
        (lambda n, x: n.head(x), lambda n: n.bfloat16(), {}, "computes in bfloat16"),
        (
            lambda n, x: torch.autocast("cpu", torch.bfloat16)(n.head)(x).float(),
            None,
            {},
            "computes in bfloat16",
        ),
        (lambda n, x: None, None, {}, "has 1 outputs, the model gives 0"),
    ],
)
def test_refused_with_the_cause(
    net: Any, checked: Any, forward: Any, prepare: Any, request_: dict[str, Any], reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        checked(net(forward, prepare or (lambda _: None)), **request_)


@pytest.mark.parametrize(
    ("forward", "prepare", "request_"),
    [
        (_squeezed, None, {"batch": 2}),
        (_reshaped(4), None, {"batch": 4}),
        (_normed, _norm(nn.BatchNorm2d(8, track_running_stats=False)), {"batch": 4}),
        (_normed, _norm(nn.InstanceNorm2d(8, affine=True, track_running_stats=True)), {}),
        (_normed, _norm(nn.InstanceNorm2d(8, track_running_stats=True)), {"opset": 17}),
        (_normed, _norm(nn.InstanceNorm2d(8)), {}),
        (lambda n, x: n.head(x), lambda n: nn.utils.parametrizations.spectral_norm(n.fc), {}),
        (lambda n, x: n.head(x), lambda n: nn.utils.parametrizations.orthogonal(n.fc), {}),
        (_halved, lambda n: n.half(), {}),
        (
            lambda n, x: F.scaled_dot_product_attention(
                *[n.tokens(x)[:, None]] * 3, is_causal=True
            ),
            None,
            {},
        ),
        (
            lambda n, x: F.scaled_dot_product_attention(
                n.tokens(x)[:, None, :5], *[n.tokens(x)[:, None]] * 2, is_causal=True
            ),
            None,
            {"opset": 12},
        ),
        (lambda n, x: n.tokens(x) @ torch.ones(8, 8).tril() + n.tokens(x).triu(1), None, {}),
        (
            lambda n, x: n.lstm(n.tokens(x))[0],
            lambda n: setattr(n, "lstm", nn.LSTM(8, 6, batch_first=True)),
            {},
        ),
    ],
)
def test_exported_as_they_are(
    net: Any, checked: Any, forward: Any, prepare: Any, request_: dict[str, Any]
) -> None:
    _, results, _ = checked(net(forward, prepare or (lambda _: None)), **request_)
    assert all(result.passed and result.proves for result in results)


def test_batch_statistics_name_a_fixed_batch(net: Any, checked: Any) -> None:
    with pytest.raises(ToolError, match="it works with a fixed batch: use --batch N"):
        checked(net(_normed, _norm(nn.BatchNorm2d(8, track_running_stats=False))))


def test_training_mode_matters_only_where_it_changes_the_answer(checked: Any) -> None:
    torch.manual_seed(0)
    with pytest.raises(InputError, match=r"stays in training mode after eval\(\) \(the model, fc"):
        checked(Stubborn(0.5).eval())
    assert checked(Stubborn(0.0).eval())[1][0].passed


@pytest.mark.parametrize("simplify", [True, False])
def test_heads_that_end_in_cat_keep_a_free_batch_and_get_known_sizes(
    tmp_path: Path, net: Any, checked: Any, simplify: bool
) -> None:
    simplified, results, _ = checked(
        net(lambda n, x: torch.cat([n.tokens(x), n.tokens(x)], 1)), simplify=simplify
    )
    assert results[0].passed and simplified is simplify
    (output,) = onnx.load(tmp_path / "m.onnx").graph.output
    dims = [d.dim_param or d.dim_value for d in output.type.tensor_type.shape.dim]
    assert dims == ["batch", 32, 8] if simplify else dims[0] == "batch"
