"""Checkpoints: what is allowed in them, what is refused, and which of several is taken."""

from __future__ import annotations

import argparse
import gzip
import pickle
import zipfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from portproof.convert.pytorch.checkpoint import read_state_dict, unprefixed
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
    assert "'ema.state_dict' is used" in capsys.readouterr().err


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


@pytest.mark.parametrize(
    "wrapped",
    [
        {"n_averaged": torch.tensor(5), "module.fc.weight": 0, "module.fc.bias": 0},
        {"steps": torch.tensor(5), "module._orig_mod.fc.weight": 0, "module._orig_mod.fc.bias": 0},
        {"_orig_mod.module.fc.weight": 0, "_orig_mod.module.fc.bias": 0},
        {"model.module.fc.weight": 0, "model.module.fc.bias": 0},
        {"fc._orig_mod.weight": 0, "fc.bias": 0},
        {"_fsdp_wrapped_module.fc.weight": 0, "_fsdp_wrapped_module.fc.bias": 0},
        {"module.fc._checkpoint_wrapped_module.weight": 0, "module.fc.bias": 0},
    ],
    ids=lambda names: " ".join(names),
)
def test_finds_the_models_names_under_every_order_of_wrappers(wrapped: dict[str, object]) -> None:
    assert sorted(unprefixed(wrapped, TENSORS)) == sorted(TENSORS)  # type: ignore[arg-type]
    assert sorted(unprefixed(wrapped)) == sorted(TENSORS)  # type: ignore[arg-type]


def test_takes_one_wrapper_off_a_model_that_has_a_part_of_that_name() -> None:
    own = {"module.fc.weight": None, "module.fc.bias": None}
    wrapped = {f"module.{name}": torch.ones(1) for name in own}
    assert sorted(unprefixed(wrapped, own)) == sorted(own)


def test_two_tensors_never_get_one_name() -> None:
    both = {"fc._orig_mod.weight": torch.ones(1), "fc.weight": torch.zeros(1)}
    assert unprefixed(both) == both


def test_keeps_a_prefix_that_is_the_models_own_or_not_shared() -> None:
    own = {"model.fc.weight": TENSORS["fc.weight"]}
    assert unprefixed(own, {"model.fc.weight": None}) == own
    mixed = {"module.fc.weight": TENSORS["fc.weight"], "fc.bias": TENSORS["fc.bias"]}
    assert unprefixed(mixed) == mixed


def _torchscript(path: Path) -> None:
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(path))


def _zip_of(name: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, b"x")

    return write


def _saved_and_cut(share: float) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        torch.save(TENSORS, path)
        data = path.read_bytes()
        path.write_bytes(data[: int(share * len(data))])

    return write


#: What stands where weights should, and a word of what the sentence must say.
OTHERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "lfs": (
        lambda p: p.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\n"),
        "git lfs pull",
    ),
    "login": (lambda p: p.write_text("\n<!DOCTYPE html><title>Sign in</title>"), "web page"),
    "xml": (lambda p: p.write_text("<?xml version='1.0'?><Error/>"), "web page"),
    "json": (lambda p: p.write_text('{"message": "Not Found"}'), r"text .*Not Found"),
    "gzip": (lambda p: p.write_bytes(gzip.compress(b"x" * 99)), "unpack it"),
    "zip": (_zip_of("inner/model.pth"), "unpack it"),
    "npz": (lambda p: np.savez(p.open("wb"), a=np.ones(2)), "NumPy archive"),
    "npy": (lambda p: np.save(p.open("wb"), np.ones(2)), "NumPy array"),
    "hdf5": (lambda p: p.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(99)), "HDF5"),
    "script": (_torchscript, "TorchScript archive"),
    "export": (_zip_of("m/serialized_exported_program.json"), "torch.export"),
    "pickle": (lambda p: p.write_bytes(pickle.dumps({"a": [1] * 9}, 4)), "plain pickle"),
    "empty": (lambda p: p.write_bytes(b""), "empty"),
    "zeros": (lambda p: p.write_bytes(bytes(5000)), "zeros"),
    "cut10": (_saved_and_cut(0.1), "cut off"),
    "cut50": (_saved_and_cut(0.5), "cut off"),
    "cut99": (_saved_and_cut(0.99), "cut off"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_says_what_a_file_of_another_kind_is(tmp_path: Path, kind: str) -> None:
    write, words = OTHERS[kind]
    write(tmp_path / "w.pth")
    with pytest.raises(InputError, match=words) as refusal:
        read_state_dict(tmp_path / "w.pth")
    assert "weights_only" not in str(refusal.value)


def test_reads_safetensors_under_another_name(tmp_path: Path) -> None:
    pytest.importorskip("safetensors.torch").save_file(TENSORS, tmp_path / "w.pth")
    assert sorted(read_state_dict(tmp_path / "w.pth")) == sorted(TENSORS)


def _holding_itself() -> dict[str, object]:
    content: dict[str, object] = {"epoch": 1}
    content["state_dict"] = content
    return content


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"fc.weight": torch.eye(3).to_sparse()}, "sparse"),
        ({"fc.weight": torch.eye(3).to_sparse_csr()}, "sparse"),
        ({"fc.weight": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)}, "quantised"),
        ({"fc.weight": torch.ones(2, device="meta")}, "without data"),
        ({"fc.weight": torch.nn.parameter.UninitializedParameter()}, "lazy|not loaded"),
        ({0: torch.ones(2), 1: torch.ones(2)}, "by name"),
        (_holding_itself(), "tensors were expected"),
    ],
    ids=["sparse", "csr", "quantised", "meta", "lazy", "whole numbers as names", "itself"],
)
@pytest.mark.filterwarnings("ignore:.*(deprecated|beta state)")
def test_refuses_tensors_that_are_no_plain_numbers(
    tmp_path: Path, content: object, words: str
) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(InputError, match=words):
        read_state_dict(tmp_path / "w.pth")


@pytest.mark.parametrize(
    "average", [{}, None, {"decay": 0.9, "shadow_params": [torch.ones(2)]}], ids=str
)
def test_an_average_without_names_does_not_hide_the_weights(
    tmp_path: Path, average: object
) -> None:
    torch.save({"ema": average, "model_ema": {}, "state_dict": TENSORS}, tmp_path / "w.pth")
    assert sorted(read_state_dict(tmp_path / "w.pth")) == sorted(TENSORS)
