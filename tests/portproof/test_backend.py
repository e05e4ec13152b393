"""The backend protocol: found by name, and the checks that every runtime relies on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from portproof.backend import (
    LoadRequest,
    TensorSpec,
    check_batch,
    check_feeds,
    check_suffix,
    complete,
    default_for,
    find,
    names,
)
from portproof.core.errors import InputError

IMAGE = TensorSpec("image", "float32", (None, 3, 2, 2))


def test_backends_are_found_by_name_and_have_what_the_protocol_asks_for() -> None:
    assert {"eager", "ort", "null"} <= set(names())
    for name in names():
        module = find(name)
        assert callable(module.load)
        assert all(s.startswith(".") for s in module.SUFFIXES)
        assert set(module.DEFAULT_FOR) <= set(module.SUFFIXES)
        assert isinstance(module.PACKAGES, tuple)
    with pytest.raises(InputError, match=r"no backend 'x'; there are .*ort"):
        find("x")


def test_a_suffix_has_one_usual_backend() -> None:
    assert default_for(Path("m.onnx")) == "ort"
    assert default_for(Path("w.pth")) == "eager"
    usual = [s for n in names() for s in find(n).DEFAULT_FOR]
    assert len(usual) == len(set(usual))
    with pytest.raises(InputError, match="--backend"):
        default_for(Path("m.xyz"))
    with pytest.raises(InputError, match=r"opens \.onnx files"):
        check_suffix("ort", Path("m.pth"))
    check_suffix("null", Path("anything.xyz"))


def feeds(**changes: object) -> dict[str, np.ndarray]:
    return {"image": np.zeros((5, 3, 2, 2), np.float32)} | changes  # type: ignore[operator]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"image": np.zeros((5, 3, 2, 2), np.int32)}, "int32, the model takes float32"),
        ({"image": np.zeros((5, 12), np.float32)}, r"shape \(5, 12\)"),
        ({"image": np.zeros((5, 2, 2, 3), np.float32).transpose(0, 3, 1, 2)}, "not C-contiguous"),
        ({"more": np.zeros(1)}, "inputs are"),
    ],
)
def test_feeds_of_the_right_size_but_wrong_meaning_are_refused(
    wrong: dict[str, np.ndarray], words: str
) -> None:
    check_feeds(feeds(), (IMAGE,))
    with pytest.raises(InputError, match=words):
        check_feeds(feeds(**wrong), (IMAGE,))
    with pytest.raises(InputError, match="inputs are"):
        check_feeds({}, (IMAGE,))


def test_sizes_and_dynamic_dimensions() -> None:
    assert IMAGE.nbytes(4) == 4 * 48
    free = TensorSpec("ids", "int64", (None, None))
    assert free.nbytes(1) is None
    (known,) = complete((free,), {"ids": (128,)})
    assert known == TensorSpec("ids", "int64", (None, 128))
    for shapes in ({}, {"ids": (1, 128)}):
        with pytest.raises(InputError, match="--model"):
            complete((free,), shapes)


def test_fixed_batch_takes_no_other() -> None:
    check_batch(Path("m"), (IMAGE,), 7)
    fixed = TensorSpec("image", "float32", (4, 3))
    check_batch(Path("m"), (fixed,), 4)
    with pytest.raises(InputError, match="fixed batch 4, --batch asks for 8"):
        check_batch(Path("m"), (fixed,), 8)
    with pytest.raises(InputError, match="scalar"):
        check_batch(Path("m"), (TensorSpec("s", "float32", ()),), 1)


def test_options_that_would_be_ignored_are_refused() -> None:
    LoadRequest(options={"a": "1"}).refuse_other_options("x", ("a",))
    with pytest.raises(InputError, match="'x' has no option 'b'; it knows a"):
        LoadRequest(options={"b": "1"}).refuse_other_options("x", ("a",))
