"""What tracing freezes is found by the samples or by a probe; what merely looks like it passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from portproof.core.errors import ToolError

torch = pytest.importorskip("torch")
F = torch.nn.functional


def _scores(n: Any, x: Any) -> Any:
    """Scores of 0 to 1 that one sample's mean, a Python float, normalises."""
    return torch.sigmoid(n.c(x)[:, 4:] - float(n.c(x).mean()))


FROZEN: dict[str, Callable[[Any, Any], Any]] = {
    "branch on a mean": lambda n, x: n.head(x) * (1 if x.mean() > 0 else 1.5),
    "branch on a largest value": lambda n, x: n.head(x) * (2 if x.max() > 5 else 1),
    "branch on a spread": lambda n, x: n.head(x) * (1 if x.std() > 0.5 else 2),
    "branch on zeros": lambda n, x: n.head(x) if x.abs().sum() > 0 else n.head(x) * 0,
    "branch on a constant image": lambda n, x: n.head(x) * (1 if x.max() != x.min() else 2),
    "branch on the batch": lambda n, x: n.head(x) * (1 if x.shape[0] <= 4 else 2),
    "item": lambda n, x: n.head(x) / (1 + x.abs().max().item()),
    "float": lambda n, x: n.head(x / float(x.abs().max())),
    "numpy": lambda n, x: n.head(x) * float(x.detach().numpy().std()),
    "tolist": lambda n, x: n.head(x) * torch.tensor(x.mean((1, 2, 3)).tolist()).mean(),
    "scores beside pixels": lambda n, x: torch.cat(
        [n.c(x)[:, :4].flatten(2) * 120 + 320, _scores(n, x).flatten(2)], 1
    ),
    "scores beside pixels, channels last": lambda n, x: torch.cat(
        [n.c(x)[:, :4].flatten(2) * 120 + 320, _scores(n, x).flatten(2)], 1
    ).transpose(1, 2),
    "scores beside pixels, flat": lambda n, x: torch.cat(
        [n.c(x)[:, :4].flatten(1) * 120 + 320, _scores(n, x).flatten(1)], 1
    ),
    "scores beside a mask": lambda n, x: (
        _scores(n, x).flatten(2).masked_fill(n.c(x)[:, 4:].flatten(2) > 0.3, -1e9)
    ),
}


@pytest.mark.parametrize("name", FROZEN)
def test_what_is_frozen_is_refused_and_its_line_named(
    net: Any, checked: Any, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    with pytest.raises(ToolError, match=r"the graph holds a value of the traced sample, or a") as e:
        checked(net(FROZEN[name]))
    assert "test_frozen.py line " in str(e.value)
    assert capsys.readouterr().err.count("the tracer cannot follow test_frozen.py line ") in {1, 2}


def test_a_batch_that_became_a_number_is_named_and_works_when_it_is_fixed(
    net: Any, checked: Any
) -> None:
    def forward(n: Any, x: Any) -> Any:
        return n.fc(n.c(x).reshape(int(x.shape[0]), 8, -1).mean(2))

    with pytest.raises(ToolError, match="the batch 2 is built into the graph, use --batch N"):
        checked(net(forward))
    _, results, probes = checked(net(forward), batch=4)
    assert results[0].passed and results[0].proves and "all zeros" in probes


def _masked(value: float) -> Callable[[Any, Any], Any]:
    return lambda n, x: n.head(x).masked_fill(n.head(x) > 0.2, value)


HEALTHY: dict[str, Callable[[Any, Any], Any]] = {
    "shapes as numbers": lambda n, x: F.interpolate(n.c(x), size=(int(x.shape[2]), 8)),
    "torch.where": lambda n, x: torch.where(x.mean() > 0, n.head(x), n.head(x) * 1.5),
    "boxes and scores": lambda n, x: torch.cat(
        [n.c(x)[:, :4].flatten(2) * 120 + 320, torch.sigmoid(n.c(x)[:, 4:].flatten(2) - 12)], 1
    ),
    "a class at minus infinity": _masked(float("-inf")),
    "a class at -1e9": _masked(-1e9),
    "a class at the least float": _masked(torch.finfo(torch.float32).min),
    "probabilities": lambda n, x: (n.head(x) * 20).softmax(-1),
    "indices of equal values": lambda n, x: n.c(x).flatten(1).topk(20)[1],
    "order of nearly equal scores": lambda n, x: torch.sigmoid(n.c(x) - 9).flatten(1).topk(60)[1],
    "classes": lambda n, x: n.c(x).argmax(1),
    "cancellation": lambda n, x: (n.head(x) * 1000 + 1000) - 1000 - n.head(x) * 999,
    "mostly zeros": lambda n, x: F.relu(n.head(x)),
    "tiny": lambda n, x: n.head(x) * 1e-3,
    "large": lambda n, x: n.head(x) * 1e6,
    "nested": lambda n, x: {"class": ([n.head(x)], None)},
}


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_models_pass_every_probe(net: Any, checked: Any, name: str) -> None:
    simplified, results, probes = checked(net(HEALTHY[name]))
    assert simplified and all(result.passed for result in results)
    assert {"10 times as large", "of the other sign", "all zeros", "at batch 5"} <= {*probes}


def test_token_models_are_probed_with_other_tokens(checked: Any, card_with: Any) -> None:
    class Tokens(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.e, self.s = torch.nn.Embedding(50, 8), torch.nn.Embedding(2, 8)

        def forward(self, ids: Any, segments: Any) -> Any:
            x = (self.e(ids) + self.s(segments)).mean(1)
            return x * 2 if ids.max() > 10 else x

    rows = [("ids", (6,), "int64"), ("segments", (6,), "int64")]
    with pytest.raises(ToolError, match="on inputs with ids of 0 to 19: largest difference"):
        checked(Tokens().eval(), card_with(rows))
