"""Models from cards: timm's own filter, torchvision's own names, and a user's file that sees its
folder and not ours.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import msgspec
import pytest

from portproof.card import Card, Input, Output
from portproof.convert.pytorch.models import build_model, builder_of
from portproof.core.errors import InputError
from portproof.preprocess.cards.resolve import resolve_card
from portproof.recipe import Recipe, Resize

torch = pytest.importorskip("torch")


def card_of(builder: str, classes: int | None = 10, side: int = 32) -> Card:
    output = Output(name="class", shape=(classes,) if classes else None)
    recipe = Recipe(resize=Resize(size=(side,)), crop=(side, side))
    return Card(
        name="x",
        builder=builder,
        inputs=(Input(name="image", shape=(3, side, side)),),
        outputs=(output,),
        recipe=recipe,
    )


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    ours, theirs = a.state_dict(), b.state_dict()
    return list(ours) == list(theirs) and all(torch.equal(ours[k], theirs[k]) for k in ours)


def test_timm_weights_load_with_the_cards_number_of_classes(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    source = timm.create_model("convnext_atto", num_classes=10)
    torch.save(
        {"state_dict": {f"module.{k}": v for k, v in source.state_dict().items()}},
        tmp_path / "w.pth",
    )
    model = build_model(card_of("timm:convnext_atto"), tmp_path / "w.pth")
    assert same(model, source) and not model.training
    assert model.pretrained_cfg.get("state_dict") is None


def test_timm_weights_go_through_the_models_own_filter(tmp_path: Path) -> None:
    """ConvNeXt's published files have the names of Facebook's code, which timm's filter for
    ConvNeXt knows.
    """
    timm = pytest.importorskip("timm")
    source = timm.create_model("convnext_atto", num_classes=10)
    foreign = {}
    for name, tensor in source.state_dict().items():
        name = re.sub(r"stages\.(\d+)\.downsample\.(\d+)", r"downsample_layers.\1.\2", name)
        name = re.sub(r"^stem\.", "downsample_layers.0.", name)
        name = re.sub(r"stages\.(\d+)\.blocks\.(\d+)", r"stages.\1.\2", name)
        name = (
            name.replace("conv_dw", "dwconv")
            .replace("mlp.fc", "pwconv")
            .replace("head.norm.", "norm.")
            .replace("head.fc.", "head.")
        )
        foreign[name] = tensor
    torch.save(foreign, tmp_path / "w.pth")
    assert set(foreign) != set(source.state_dict()) and same(
        build_model(card_of("timm:convnext_atto"), tmp_path / "w.pth"), source
    )


def test_timm_may_not_load_a_part(tmp_path: Path) -> None:
    """timm itself loads DLA leniently: what the file lacks would stay random."""
    timm = pytest.importorskip("timm")
    state = timm.create_model("dla46x_c", num_classes=10).state_dict()
    del state["fc.weight"]
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"1 missing \(fc\.weight\)"):
        build_model(card_of("timm:dla46x_c"), tmp_path / "w.pth")


def test_timm_names_that_are_not_there() -> None:
    pytest.importorskip("timm")
    with pytest.raises(InputError, match=r"no model 'resnet81'; did you mean"):
        build_model(card_of("timm:resnet81"), None)
    with pytest.raises(InputError, match=r"no tag 'nonsense' of regnety_016; it has"):
        build_model(card_of("timm:regnety_016.nonsense"), None)


def test_torchvision_weights_and_the_old_names_of_densenet(tmp_path: Path) -> None:
    models = pytest.importorskip("torchvision.models")
    source = models.densenet121(num_classes=10)
    old = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2", name): tensor
        for name, tensor in source.state_dict().items()
    }
    assert set(old) != set(source.state_dict())
    torch.save(old, tmp_path / "w.pth")
    assert same(build_model(card_of("torchvision:densenet121"), tmp_path / "w.pth"), source)
    with pytest.raises(InputError, match=r"no classification model 'resnet81'; did you mean"):
        build_model(card_of("torchvision:resnet81"), None)


def test_transform_input_is_known_or_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = pytest.importorskip("torchvision.models")
    from portproof.convert.pytorch import from_torchvision

    torch.save(
        models.googlenet(num_classes=10, init_weights=False).state_dict(), tmp_path / "w.pth"
    )
    card = card_of("torchvision:googlenet")
    with pytest.raises(
        InputError, match=r"torchvision:googlenet,transform_input=true \(or =false\)"
    ):
        build_model(card, tmp_path / "w.pth")
    for given in (True, False):
        chosen = msgspec.structs.replace(card, options={"transform_input": given})
        assert build_model(chosen, tmp_path / "w.pth").transform_input is given
    published = models.GoogLeNet_Weights.IMAGENET1K_V1.url.rpartition("-")[2].removesuffix(".pth")
    monkeypatch.setattr(from_torchvision, "sha256_of", lambda path: published + "0" * 56)
    assert build_model(card, tmp_path / "w.pth").transform_input is True


def test_an_option_that_the_builder_does_not_take_is_one_sentence() -> None:
    card = msgspec.structs.replace(card_of("torchvision:resnet18"), options={"depth": 3})
    with pytest.raises(InputError, match="cannot be built with the options depth=3"):
        build_model(card, None)


def test_a_tag_names_weights_and_not_another_model() -> None:
    tagged = build_model(card_of("torchvision:resnet18.IMAGENET1K_V1"), None)
    assert list(tagged.state_dict()) == list(
        build_model(card_of("torchvision:resnet18"), None).state_dict()
    )


def test_an_unknown_builder_is_refused() -> None:
    with pytest.raises((InputError, ValueError), match="builder"):
        builder_of(card_of("keras:resnet50"))


def user_model(folder: Path, width: int) -> Card:
    """A file ``model.py`` with a ``blocks.py`` beside it, as many have."""
    folder.mkdir(exist_ok=True)
    (folder / "blocks.py").write_text(
        f"from torch import nn\nWIDTH = {width}\n\ndef layer():\n    return nn.Linear({width}, 2)\n"
    )
    (folder / "model.py").write_text(
        "import blocks\n\ndef build():\n    import blocks as again\n    assert again is blocks\n   "
        " return blocks.layer()\n"
    )
    return card_of(f"{folder / 'model.py'}:build", classes=None)


def test_two_files_may_have_the_same_names_beside_them(tmp_path: Path) -> None:
    before = list(sys.path), set(sys.modules)
    cards = [user_model(tmp_path / name, width) for name, width in (("a", 3), ("b", 4), ("a", 3))]
    assert [build_model(card, None).in_features for card in cards] == [3, 4, 3]
    assert sys.path == before[0] and "blocks" not in sys.modules and "model" not in sys.modules
    assert all(name.startswith("portproof") for name in set(sys.modules) - before[1])
    assert [p.name for p in builder_of(cards[0]).files(cards[0])] == ["model.py", "blocks.py"]


def test_a_compiled_model_of_a_user_finds_its_globals(tmp_path: Path) -> None:
    (tmp_path / "blocks.py").write_text("SCALE = 3\n\ndef scaled(x):\n    return x * SCALE\n")
    (tmp_path / "model.py").write_text(
        "import blocks\nfrom torch import nn\n\nclass Net(nn.Module):\n    def forward(self, x):\n "
        "       return blocks.scaled(x)\n"
    )
    model = build_model(card_of(f"{tmp_path / 'model.py'}:Net", classes=None), None)
    assert torch.equal(
        torch.compile(model, backend="eager", fullgraph=True)(torch.ones(2)), torch.full((2,), 3.0)
    )


def test_the_file_sees_its_folder_and_nothing_of_ours(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(root))
    monkeypatch.chdir(root)
    (tmp_path / "model.py").write_text("import reports\n\ndef build():\n    return reports.net()\n")
    card = card_of(f"{tmp_path / 'model.py'}:build", classes=None)
    with pytest.raises(
        InputError, match=r"model\.py', line 1: ModuleNotFoundError: No module named 'reports'"
    ):
        build_model(card, None)
    (tmp_path / "reports.py").write_text(
        "from torch import nn\n\ndef net():\n    return nn.Identity()\n"
    )
    assert isinstance(build_model(card, None), torch.nn.Identity)


def test_a_library_vendored_beside_the_file_is_the_one_it_gets(tmp_path: Path) -> None:
    import yaml

    (tmp_path / "yaml").mkdir()
    (tmp_path / "yaml/__init__.py").write_text("from torch import nn\nnet = nn.Identity\n")
    (tmp_path / "model.py").write_text("import yaml\n\ndef build():\n    return yaml.net()\n")
    assert isinstance(
        build_model(card_of(f"{tmp_path / 'model.py'}:build", classes=None), None),
        torch.nn.Identity,
    )
    assert sys.modules["yaml"] is yaml and hasattr(yaml, "safe_load")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("def build():\n    return 3\n", "returned int, a torch.nn.Module was expected"),
        ("def other():\n    return 3\n", "no callable 'build'; it has other"),
        ("def build(width):\n    return 3\n", "TypeError: build"),
        ("def build():\n    return 1 / 0\n", r"line 2: ZeroDivisionError"),
        ("def build(:\n", r"line 1: SyntaxError"),
    ],
)
def test_a_users_mistakes_are_one_sentence(tmp_path: Path, body: str, reason: str) -> None:
    (tmp_path / "model.py").write_text(body)
    with pytest.raises(InputError, match=reason):
        build_model(card_of(f"{tmp_path / 'model.py'}:build", classes=None), None)


def test_a_users_own_filter_comes_first(small: Path) -> None:
    (small / "small.py").write_text(
        (small / "small.py").read_text()
        + "\ndef checkpoint_filter_fn(state, model):\n    return {k.replace('classifier', 'fc'): v"
        " for k, v in state.items()}\n"
    )
    state = torch.load(small / "small.pth", weights_only=True)
    torch.save({k.replace("fc", "classifier"): v for k, v in state.items()}, small / "small.pth")
    model = build_model(resolve_card(str(small / "small.yaml")), small / "small.pth")
    assert torch.equal(model.fc.weight, state["fc.weight"])
