"""Weights: their checksum, and how completely they must fit."""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from pathlib import Path

import pytest

from portproof.card import Card, Weights, read_card
from portproof.convert.pytorch.weights import check_weights, load_strictly
from portproof.core.errors import InputError

torch = pytest.importorskip("torch")


def test_lists_every_kind_of_misfit() -> None:
    model = torch.nn.Linear(3, 2)
    with pytest.raises(InputError, match=r"1 missing \(bias\), 1 unexpected \(scale\)"):
        load_strictly(model, {"weight": torch.ones(2, 3), "scale": torch.ones(1)}, Path("w.pth"))
    with pytest.raises(
        InputError, match=r"1 of another shape \(weight \(3, 2\) instead of \(2, 3\)\)"
    ):
        load_strictly(model, {"weight": torch.ones(3, 2), "bias": torch.ones(2)}, Path("w.pth"))
    before = torch.nn.Module.load_state_dict
    load_strictly(model, {"weight": torch.full((2, 3), 7.0), "bias": torch.ones(2)}, Path("w.pth"))
    assert (
        math.isclose(float(model.weight.detach().sum()), 42)
        and torch.nn.Module.load_state_dict is before
    )


def test_loads_batch_norms_saved_before_they_counted_batches() -> None:
    model = torch.nn.BatchNorm1d(2)
    state = OrderedDict(
        (k, v)
        for k, v in torch.nn.BatchNorm1d(2).state_dict().items()
        if k != "num_batches_tracked"
    )
    load_strictly(model, state, Path("w.pth"))


def _with_weights(small: Path, **facts: str) -> Card:
    import msgspec

    return msgspec.structs.replace(read_card(small / "small.yaml"), weights=Weights(**facts))


def test_checks_the_checksum_and_shows_both(small: Path) -> None:
    file, data = small / "small.pth", (small / "small.pth").read_bytes()
    check_weights(_with_weights(small), file)
    check_weights(_with_weights(small, md5=hashlib.md5(data).hexdigest().upper()), file)
    check_weights(_with_weights(small, sha256=hashlib.sha256(data).hexdigest()), file)
    with pytest.raises(
        InputError,
        match=rf"md5 of .* is {hashlib.md5(data).hexdigest()}.*expects {'0' * 32}.*https://x/w",
    ):
        check_weights(_with_weights(small, md5="0" * 32, url="https://x/w"), file)


def test_says_what_to_download_when_the_weights_are_missing(small: Path) -> None:
    card = _with_weights(small, md5="1" * 32, url="https://x/w.pth")
    with pytest.raises(
        InputError,
        match=(
            rf"download https://x/w\.pth and save it as '.*none\.pth'; its md5 must be {'1' * 32}"
        ),
    ):
        check_weights(card, small / "none.pth")
