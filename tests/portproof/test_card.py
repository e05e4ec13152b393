"""Model cards: the shipped ones against timm and torchvision, and wrong ones refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from portproof.card import find_card, read_card
from portproof.core.errors import InputError
from portproof.core.yamlfile import names_in
from portproof.preprocess.cards.resolve import resolve_card
from portproof.recipe import find_recipe

CARD = """name: tiny
builder: timm:resnet18.tv_in1k
inputs:
  - {name: image, shape: [3, 224, 224]}
outputs:
  - {name: class, shape: [1000]}
recipe: resnet
weights:
  file: tiny.pth
  md5: fb4fc8ffd7cbf1a209d66a5ca621b451
"""


def test_the_cards_that_are_asked_for_are_there() -> None:
    asked = {
        "regnety_016",
        "resnet18",
        "resnet50",
        "vit_base_patch16_224",
        "swin_tiny_patch4_window7_224",
        "mobilenetv3_small_100",
        "efficientnet_b0",
    }
    assert asked <= set(names_in("models"))


@pytest.mark.parametrize("name", names_in("models"))
def test_cards_agree_with_their_builder(name: str) -> None:
    """The recipe is what timm resolves for the tag, whose weights the card's file is."""
    models = pytest.importorskip("timm.models")
    card = read_card(find_card(name))
    source, _, tag = card.builder.partition(":")
    assert source == "timm" and card.name == name
    assert card.preprocessing == resolve_card(card.builder).preprocessing
    config = models.get_pretrained_cfg(tag)
    assert dict(dataclasses.asdict(config))["num_classes"] == card.outputs[0].shape[0]  # type: ignore[index]
    if config.url:
        assert config.url.rsplit("/", 1)[-1] == card.weights.file


def test_regnety_is_as_its_source_says() -> None:
    card = read_card(find_card("regnety_016"))
    assert card.builder == "timm:regnety_016.pycls_in1k"
    assert (card.weights.file, card.weights.md5) == (
        "regnety_016-54367f74.pth",
        "fb4fc8ffd7cbf1a209d66a5ca621b451",
    )
    assert card.published is not None and (card.published.top1, card.published.top5) == (
        77.862,
        93.720,
    )
    assert (card.inputs[0].name, card.outputs[0].name) == ("image", "class")


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_figures_of_torchvisions_weights_are_torchvisions(name: str) -> None:
    torchvision = pytest.importorskip("torchvision")
    metrics = torchvision.models.get_model_weights(name).IMAGENET1K_V1.meta["_metrics"][
        "ImageNet-1K"
    ]
    published = read_card(find_card(name)).published
    assert published is not None and (published.top1, published.top5) == (
        metrics["acc@1"],
        metrics["acc@5"],
    )


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        ("name: tiny", "nam: tiny", 1, "nam"),
        ("timm:resnet18.tv_in1k", "resnet18", 2, "builder"),
        ("shape: [3, 224, 224]", "shape: [3, 0, 224]", 4, ">= 1"),
        ("shape: [3, 224, 224]", "shape: [3, 225, 224]", 4, "(3, 224, 224)"),
        ("inputs:\n  - {name: image, shape: [3, 224, 224]}", "inputs: []", 3, "length >= 1"),
        ("name: class", "name: image", 5, "differ"),
        ("recipe: resnet", "recipe: resnest", 7, "resnest"),
        ("recipe: resnet", "recipe: {crop: [224, 224], mean: [1, 2]}", 7, "length 3"),
        ("recipe: resnet", "recipe:\n  crop: [224, 224]\n  dtype: float64", 9, "float64"),
        ("recipe: resnet\n", "", 1, "recipe"),
        ("fb4fc8ff", "fb4fc8f", 10, "md5"),
        ("md5: ", "md5: !!python/object:os.system ", 10, "not valid YAML"),
        ("file: tiny.pth", "file: 3", 9, "str"),
        ("recipe: resnet", "recipe: resnet\nbatches: [1, -4]", 8, ">= 1"),
        ("recipe: resnet", "recipe: resnet\npublished: {top1: 177.8, source: x}", 8, "<= 100"),
        ("recipe: resnet", "recipe: resnet\nrecipe: regnet", 8, "twice"),
    ],
)
def test_wrong_cards_are_refused_with_line_and_reason(
    tmp_path: Path, old: str, new: str, line: int, reason: str
) -> None:
    assert old in CARD
    path = tmp_path / "tiny.yaml"
    path.write_text(CARD.replace(old, new))
    with pytest.raises(InputError) as refused:
        read_card(path)
    assert f"line {line}:" in str(refused.value) and reason in str(refused.value), refused.value


def test_a_right_card_is_read(tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(CARD)
    card = read_card(path)
    assert card.path == str(path) and card.preprocessing == find_recipe("resnet")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("resnet19", "there is no model card 'resnet19'.*resnet18"),
        ("timm:resnet19", "timm has no model 'resnet19'"),
        ("timm:resnet18.nothing", "timm has no tag.*resnet18.a1_in1k"),
        ("torchvision:resnet19", "torchvision has no classifier"),
        ("torchvision:resnet18.V9", "no weights 'V9'"),
        ("keras:resnet50", "a card from 'keras' is not known"),
        ("callable:resnet50", "a card from 'callable' is not known"),
        ("nowhere.py:build", "does not exist"),
    ],
)
def test_unknown_models_are_refused(text: str, reason: str) -> None:
    pytest.importorskip("timm")
    with pytest.raises(InputError, match=reason):
        resolve_card(text)


def test_a_default_tag_is_named() -> None:
    pytest.importorskip("timm")
    card = resolve_card("timm:resnet18")
    assert card.builder == "timm:resnet18.a1_in1k" and card.outputs[0].shape == (1000,)


def test_a_file_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its folder is importable to it; a pretrained_cfg of the callable or of the file is its
    recipe, else ImageNet's default, said.
    """
    (tmp_path / "helper_of_mine.py").write_text("SIZE = 64\n")
    (tmp_path / "plain.py").write_text("import helper_of_mine\n\ndef build():\n    return None\n")
    (tmp_path / "configured.py").write_text(
        "from helper_of_mine import SIZE\n\ndef build():\n    return None\n\nbuild.pretrained_cfg ="
        " {'input_size': (3, SIZE, SIZE), 'crop_pct': 1.0, 'num_classes': 7, 'interpolation':"
        " 'bilinear'}\n"
    )
    card = resolve_card(f"{tmp_path}/plain.py:build")
    assert (
        card.preprocessing.size == (224, 224)
        and "taking the ImageNet default" in capsys.readouterr().err
    )
    card = resolve_card(f"{tmp_path}/configured.py:build")
    size: Any = card.preprocessing.resize
    assert (size.size, card.preprocessing.size, card.outputs[0].shape) == ((64,), (64, 64), (7,))
    with pytest.raises(InputError, match="has no callable 'train'"):
        resolve_card(f"{tmp_path}/plain.py:train")
    (tmp_path / "broken.py").write_text("1 / 0\n")
    with pytest.raises(InputError, match="ZeroDivisionError"):
        resolve_card(f"{tmp_path}/broken.py:build")
