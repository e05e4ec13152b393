"""Weights files: what is allowed in them, what is refused, and how completely they must fit."""

from __future__ import annotations

import argparse
import hashlib
import math
import pickle
from collections import OrderedDict
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from portproof.card import Card, Weights, read_card
from portproof.convert.pytorch.weights import (
    check_weights,
    load_strictly,
    read_state_dict,
    unprefixed,
)
from portproof.core.errors import InputError

torch = pytest.importorskip("torch")

TENSORS = {"fc.weight": torch.ones(2, 3), "fc.bias": torch.zeros(2)}


@pytest.mark.parametrize("key", ["state_dict", "model", "ema", "model_ema", "state_dict_ema"])
def test_reads_a_nested_state_dict(tmp_path: Path, key: str) -> None:
    torch.save({"epoch": 3, key: TENSORS}, tmp_path / "w.pth")
    assert list(read_state_dict(tmp_path / "w.pth")) == list(TENSORS)


def test_reads_two_levels_and_says_which_of_several_it_took(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    averaged = {name: tensor + 1 for name, tensor in TENSORS.items()}
    torch.save({"model": TENSORS, "ema": {"state_dict": averaged}}, tmp_path / "w.pth")
    assert torch.equal(read_state_dict(tmp_path / "w.pth")["fc.bias"], torch.ones(2))
    assert "'ema' is used" in capsys.readouterr().err


@pytest.mark.parametrize("legacy", [True, False])
def test_reads_both_formats_of_torch_save_with_the_training_options_beside(
    tmp_path: Path, legacy: bool
) -> None:
    beside = {
        "args": argparse.Namespace(lr=0.1),
        "best": np.float64(77.8),
        "seen": np.int64(5),
        "best32": np.float32(1.5),
    }
    torch.save(
        {"state_dict": TENSORS, **beside},
        tmp_path / "w.pth",
        _use_new_zipfile_serialization=not legacy,
    )
    assert torch.equal(read_state_dict(tmp_path / "w.pth")["fc.weight"], TENSORS["fc.weight"])


def test_reads_numpy_scalars_pickled_by_numpy_1(tmp_path: Path) -> None:
    torch.save(
        {"state_dict": TENSORS, "best": np.float64(1)},
        tmp_path / "w.pth",
        _use_new_zipfile_serialization=False,
    )
    data = (tmp_path / "w.pth").read_bytes()
    (tmp_path / "w.pth").write_bytes(
        data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    )
    assert list(read_state_dict(tmp_path / "w.pth")) == list(TENSORS)


def test_reads_safetensors(tmp_path: Path) -> None:
    save_file = pytest.importorskip("safetensors.torch").save_file
    save_file(TENSORS, tmp_path / "w.safetensors")
    assert torch.equal(
        read_state_dict(tmp_path / "w.safetensors")["fc.weight"], TENSORS["fc.weight"]
    )
    (tmp_path / "w.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match="not a safetensors file"):
        read_state_dict(tmp_path / "w.safetensors")


class Evil:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.system, (self.command,)


@pytest.mark.parametrize("legacy", [True, False])
def test_never_runs_code_from_the_file(tmp_path: Path, legacy: bool) -> None:
    torch.save(
        {"state_dict": TENSORS, "x": Evil(f"touch {tmp_path}/ran")},
        tmp_path / "w.pth",
        _use_new_zipfile_serialization=not legacy,
    )
    with pytest.raises(InputError, match=r"the class (posix|nt)\.system"):
        read_state_dict(tmp_path / "w.pth")
    assert not (tmp_path / "ran").exists()


def test_names_the_class_that_it_refuses(tmp_path: Path) -> None:
    torch.save({"state_dict": TENSORS, "ratio": Fraction(1, 3)}, tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"class fractions\.Fraction.*state_dict"):
        read_state_dict(tmp_path / "w.pth")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "whole.pth")
    with pytest.raises(InputError, match=r"class torch\.nn\.modules\.linear\.Linear"):
        read_state_dict(tmp_path / "whole.pth")


def test_leaves_the_list_of_allowed_classes_as_it_was(tmp_path: Path) -> None:
    before = list(torch.serialization.get_safe_globals())
    torch.save({"state_dict": TENSORS, "args": argparse.Namespace()}, tmp_path / "w.pth")
    read_state_dict(tmp_path / "w.pth")
    assert set(map(str, torch.serialization.get_safe_globals())) == set(map(str, before))
    assert argparse.Namespace not in before


@pytest.mark.parametrize(
    "content",
    [b"", b"PK\x03\x04 cut off", b"<html>404</html>", pickle.dumps([1, 2])],
    ids=["empty", "cut", "html", "list"],
)
def test_refuses_what_is_no_weights_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(InputError, match=r"w\.pth"):
        read_state_dict(tmp_path / "w.pth")


def test_refuses_a_file_cut_anywhere(tmp_path: Path) -> None:
    torch.save(TENSORS, tmp_path / "w.pth")
    data = (tmp_path / "w.pth").read_bytes()
    for length in range(0, len(data) - 1, 97):
        (tmp_path / "cut.pth").write_bytes(data[:length])
        with pytest.raises(InputError):
            read_state_dict(tmp_path / "cut.pth")


@pytest.mark.parametrize(
    "content",
    [{}, {"epoch": 3}, {"state_dict": {"fc.weight": 3}}, [TENSORS], torch.ones(3)],
    ids=str,
)
def test_refuses_what_holds_no_tensors(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"tensors were expected|state dict was expected"):
        read_state_dict(tmp_path / "w.pth")


@pytest.mark.parametrize("prefix", ["module.", "model.", "_orig_mod.", "module._orig_mod."])
def test_drops_a_prefix_that_all_names_share(prefix: str) -> None:
    assert list(unprefixed({prefix + name: tensor for name, tensor in TENSORS.items()})) == list(
        TENSORS
    )


def test_keeps_a_prefix_that_is_the_models_own_or_not_shared() -> None:
    own = {"model.fc.weight": TENSORS["fc.weight"]}
    assert unprefixed(own, {"model.fc.weight": None}) == own
    mixed = {"module.fc.weight": TENSORS["fc.weight"], "fc.bias": TENSORS["fc.bias"]}
    assert unprefixed(mixed) == mixed


def test_lists_every_kind_of_misfit() -> None:
    model = torch.nn.Linear(3, 2)
    with pytest.raises(InputError, match=r"1 missing \(bias\), 1 unexpected \(scale\)"):
        load_strictly(model, {"weight": torch.ones(2, 3), "scale": torch.ones(1)}, "w.pth")
    with pytest.raises(
        InputError, match=r"1 of another shape \(weight \(3, 2\) instead of \(2, 3\)\)"
    ):
        load_strictly(model, {"weight": torch.ones(3, 2), "bias": torch.ones(2)}, "w.pth")
    before = torch.nn.Module.load_state_dict
    load_strictly(model, {"weight": torch.full((2, 3), 7.0), "bias": torch.ones(2)}, "w.pth")
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
    load_strictly(model, state, "w.pth")


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
