"""The models that suites name: transformers by configuration, modules of ours, an optional one."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from portproof.convert.export.parity import compare
from portproof.convert.pytorch.models import build_model
from portproof.core.errors import InputError, MissingPackageError
from portproof.core.yamlfile import data_folder
from portproof.infer.suites.suite_file import read_suite
from portproof.preprocess.cards.resolve import resolve_card

torch = pytest.importorskip("torch")

SMALL = "transformers:bert,num_hidden_layers=1,hidden_size=24,num_attention_heads=2,vocab_size=50"


def suite_model(name: str) -> str:
    return str(data_folder("suites") / "models" / f"{name}.yaml")


def answer(card: str, *shape: int) -> Any:
    """PyTorch's answer to ones, of the card's own input type."""
    described = resolve_card(card)
    dtype = getattr(torch, described.inputs[0].dtype)
    with torch.inference_mode():
        return build_model(described, None)(torch.ones(*shape, dtype=dtype))


@pytest.mark.parametrize(("name", "parameters"), [("crnn", 8_724_901), ("yolov5s", 7_235_389)])
def test_modules_of_ours_give_what_their_cards_say(name: str, parameters: int) -> None:
    """YOLOv5s itself has 7,235,389 parameters."""
    card = resolve_card(suite_model(name))
    model = build_model(card, None)
    assert sum(p.numel() for p in model.parameters()) == parameters
    with torch.inference_mode():
        got = model(torch.zeros(2, *card.inputs[0].shape))
    assert tuple(got.shape) == (2, *(card.outputs[0].shape or ()))


@pytest.mark.parametrize("name", ["crnn", "yolov5s"])
def test_answers_of_untrained_modules_of_ours_depend_on_the_picture(name: str) -> None:
    """Else the comparison of their ONNX files with PyTorch proves nothing."""
    card = resolve_card(suite_model(name))
    torch.manual_seed(0)
    model = build_model(card, None)
    with torch.inference_mode():
        got = model(torch.randn(2, *card.inputs[0].shape)).numpy()
    assert compare([got], [got], ["answer"])[0].proves
    # An answer that is the same for both pictures is not taken for it.
    assert not compare([np.broadcast_to(got.mean(0), got.shape)], [got], ["answer"])[0].passed


def test_an_encoder_by_its_configuration() -> None:
    transformers = pytest.importorskip("transformers")
    hidden = answer(SMALL, 3, 128)["last_hidden_state"]
    assert hidden.shape == (3, 128, 24)
    card = resolve_card("transformers:bert")
    assert [(i.name, i.shape, i.dtype) for i in card.inputs] == [("input_ids", (128,), "int64")]
    assert transformers.BertConfig().hidden_size == 768


def test_an_encoders_onnx_file_is_compared_with_pytorch(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    pytest.importorskip("onnxslim")
    from portproof.convert.export.export import export

    card = resolve_card(SMALL)
    torch.manual_seed(0)
    torch.save(build_model(card, None).state_dict(), tmp_path / "w.pth")
    proof = export(tmp_path / "w.pth", tmp_path / "m.onnx", SMALL)
    assert proof.facts["batches_checked"] == [1, 3]
    whole = pytest.importorskip("transformers").BertModel(
        pytest.importorskip("transformers").BertConfig(
            num_hidden_layers=1, hidden_size=24, num_attention_heads=2, vocab_size=50
        )
    )
    torch.save(whole.state_dict(), tmp_path / "published.pth")
    loaded = build_model(card, tmp_path / "published.pth")
    got = loaded(torch.ones(2, 128, dtype=torch.int64)).last_hidden_state
    wanted = whole.eval()(torch.ones(2, 128, dtype=torch.int64)).last_hidden_state
    torch.testing.assert_close(got, wanted)


@pytest.mark.parametrize(
    ("card", "reason"),
    [
        ("transformers:bort", "no configuration 'bort'; did you mean"),
        ("transformers:bert,hidden_size=25,num_attention_heads=2", "cannot be built with"),
    ],
)
def test_a_wrong_encoder_is_refused(card: str, reason: str) -> None:
    pytest.importorskip("transformers")
    with pytest.raises(InputError, match=reason):
        build_model(resolve_card(card), None)


def test_fastervit_without_its_package_says_so() -> None:
    if importlib.util.find_spec("fastervit") is not None:
        pytest.skip("the package is installed")
    with pytest.raises(MissingPackageError, match="research only"):
        build_model(resolve_card(suite_model("faster_vit_0_224")), None)


def test_every_model_of_the_image_suites_has_a_card() -> None:
    pytest.importorskip("timm")
    pytest.importorskip("torchvision")
    for name in ("poros", "blade", "torchpipe", "regnety", "engines"):
        for entry in read_suite(name).entries:
            assert resolve_card(entry.model).inputs, (name, entry.model)
