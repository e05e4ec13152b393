"""Inputs and outputs by name: which goes where, and what is refused."""

from __future__ import annotations

import inspect
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from portproof.convert.export.interface import arranged, bind
from portproof.core.errors import InputError

torch = pytest.importorskip("torch")
ort = pytest.importorskip("onnxruntime")


def _hf(input_ids, attention_mask=None, token_type_ids=None): ...
def _two(x, y): ...
def _image(x, mask=None): ...
def _keywords(**inputs): ...
def _mixed(image, **more): ...
def _only(*, image, mask): ...
def _any(*args, **kwargs): ...


NAMES = ("input_ids", "attention_mask", "token_type_ids")


@pytest.mark.parametrize(
    ("names", "forward", "expected"),
    [
        (NAMES, _hf, NAMES),
        (
            ("token_type_ids", "input_ids", "attention_mask"),
            _hf,
            ("token_type_ids", "input_ids", "attention_mask"),
        ),
        (("Input.Ids", "tokenTypeIds"), _hf, ("input_ids", "token_type_ids")),
        (
            ("ids", "token_type_ids", "attention_mask"),
            _hf,
            ("input_ids", "token_type_ids", "attention_mask"),
        ),
        (("image",), _image, (None,)),
        (("mask", "picture"), _image, ("mask", "x")),
        (("first", "second"), _two, (None, None)),
        (("a", "b"), _keywords, ("a", "b")),
        (("mask", "image"), _mixed, ("mask", "image")),
        (("mask", "image"), _only, ("mask", "image")),
        (("a", "b"), _any, None),
    ],
)
def test_where_inputs_go(names: tuple[str, ...], forward: Any, expected: Any) -> None:
    assert bind(names, inspect.signature(forward), "m") == expected


@pytest.mark.parametrize(
    ("names", "forward", "reason"),
    [
        (("words", "segments", "attention_mask"), _hf, "which is which is not clear"),
        (("words", "segments", "mask"), _hf, "which is which is not clear"),
        (("attention_mask", "token_type_ids"), _hf, "forward needs input_ids"),
        (("a", "b", "c"), _two, "has 3 inputs"),
        (("a",), _two, "forward needs y"),
        (("a", "b"), _only, "which is which is not clear|forward needs"),
    ],
)
def test_contradictions_are_refused(names: tuple[str, ...], forward: Any, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        bind(names, inspect.signature(forward), "m")


Pair = namedtuple("Pair", "boxes scores")
A, B = torch.zeros(2, 3), torch.ones(2, 3)


@pytest.mark.parametrize(
    ("result", "outputs", "values"),
    [
        ({"boxes": A, "scores": B}, ("scores", "boxes"), (1, 0)),
        ({"out": {"boxes": A, "scores": B}}, ("scores", "boxes"), (1, 0)),
        (Pair(A, B), ("scores", "boxes"), (1, 0)),
        ((A, [B]), ("scores", "boxes"), (0, 1)),
        ({"p": A, "q": B, "r": None}, ("scores", "boxes"), (0, 1)),
        ({"x": {"y": A}, "z": {"y": B}}, ("z.y", "x.y"), (1, 0)),
    ],
)
def test_where_outputs_come_from(
    card_with: Any, result: Any, outputs: tuple[str, ...], values: tuple[int, ...]
) -> None:
    found = arranged(result, card_with(outputs=outputs))
    assert tuple(int(t.flatten()[0]) for t in found) == values


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ({"boxes": A, "labels": B}, "which is which is not clear"),
        (A, r"has 2 outputs, the model gives 1"),
        ((A, 3.0), "returned float, tensors were expected"),
        ({"boxes": A, "scores": "cat"}, "returned str as 'scores'"),
        ((A, torch.complex(A, B)), "plain real numbers were expected"),
        ((A, A.to_sparse()), "plain real numbers were expected"),
    ],
)
def test_outputs_that_are_refused(card_with: Any, result: Any, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        arranged(result, card_with(outputs=("scores", "boxes")))


class Tiny(torch.nn.Module):
    """An encoder whose ``forward`` takes its inputs in another order than cards do."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.tok, self.seg = torch.nn.Embedding(50, 16), torch.nn.Embedding(2, 16)
        self.out = torch.nn.Linear(16, 4)

    def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any) -> Any:
        x = self.tok(input_ids) + self.seg(token_type_ids)
        a = x @ x.transpose(1, 2) + (1 - attention_mask[:, None].float()) * -1e4
        y = (a.softmax(-1) @ x).mean(1)
        return {"pooled": y, "logits": self.out(y)}


class Wrapped(Tiny):
    """The same behind a ``forward`` that tells nothing of its inputs."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return super().forward(*args, **kwargs)


@pytest.mark.parametrize("kind", [Tiny, Wrapped])
def test_a_file_fed_by_name_answers_as_the_model_fed_by_name(
    tmp_path: Path, checked: Any, card_with: Any, kind: Any
) -> None:
    rows = [(n, (12,), "int64") for n in ("input_ids", "token_type_ids", "attention_mask")]
    checked(kind().eval(), card_with(rows, ("logits", "pooled")))
    rng = np.random.default_rng(0)
    feeds = {
        "input_ids": rng.integers(0, 50, (2, 12)),
        "attention_mask": np.array([[1] * 12, [1] * 7 + [0] * 5]),
        "token_type_ids": np.array([[0] * 6 + [1] * 6] * 2),
    }
    with torch.no_grad():
        wanted = Tiny().eval()(**{k: torch.from_numpy(v) for k, v in feeds.items()})
    session = ort.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    for name in ("logits", "pooled"):
        (got,) = session.run([name], feeds)
        np.testing.assert_allclose(got, wanted[name].numpy(), atol=1e-5)
