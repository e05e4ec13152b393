"""Loading changes no weight unseen: each kind of change is named, and refused unless allowed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from portproof.convert.pytorch.changes import changes_between
from portproof.convert.pytorch.weights import load_strictly
from portproof.core.errors import InputError

torch = pytest.importorskip("torch")
W = Path("w.pth")


def network() -> Any:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.Linear(16, 6))


def trained() -> dict[str, Any]:
    torch.manual_seed(1)
    return {name: torch.randn_like(tensor) for name, tensor in network().state_dict().items()}


def as_is(state: dict[str, Any]) -> dict[str, Any]:
    return state


def renamed(state: dict[str, Any]) -> dict[str, Any]:
    """Undo other names, a transposed matrix and a joined pair, as a zoo's filter does."""
    weight, bias = state["head"][:, :16], state["head"][:, 16]
    return {
        "0.weight": state["stem.w"].reshape(4, 3, 3, 3),
        "0.bias": state["stem.b"],
        "2.weight": weight,
        "2.bias": bias,
    }


def foreign() -> dict[str, Any]:
    own = trained()
    head = torch.cat([own["2.weight"], own["2.bias"][:, None]], 1)
    return {"stem.w": own["0.weight"].flatten(1), "stem.b": own["0.bias"], "head": head}


def scaled(state: dict[str, Any]) -> dict[str, Any]:
    state["2.weight"].mul_(2)  # in place, as filters do
    return state


def with_(name: str, change: Callable[[Any], Any]) -> dict[str, Any]:
    state = trained()
    state[name] = change(state[name])
    return state


#: File, filter, and the tensors that the refusal must name ("" for none).
CASES: dict[str, tuple[dict[str, Any], Callable[[dict[str, Any]], dict[str, Any]], str]] = {
    "unchanged": (trained(), as_is, ""),
    "halves": ({n: t.half() for n, t in trained().items()}, as_is, ""),
    "brain floats": ({n: t.bfloat16() for n, t in trained().items()}, as_is, ""),
    "renamed, reshaped, split": (foreign(), renamed, ""),
    "not a number": (with_("0.bias", lambda t: t * float("nan")), as_is, ""),
    "int8": (with_("2.weight", lambda t: (t * 9).to(torch.int8)), as_is, "2.weight"),
    "complex": (with_("2.weight", lambda t: t.to(torch.complex64)), as_is, "2.weight"),
    "overflow": (with_("0.bias", lambda t: t.double() * 1e300), as_is, "0.bias"),
    "scaled in place": (trained(), scaled, "2.weight"),
    "summed channels": (
        with_("0.weight", lambda t: torch.cat([t, t + 1], 1)),
        lambda s: s | {"0.weight": s["0.weight"][:, :3] + s["0.weight"][:, 3:]},
        "0.weight",
    ),
    "cut head": (
        with_("2.weight", lambda t: torch.cat([t, t[:1] + 1])),
        lambda s: s | {"2.weight": s["2.weight"][:6]},
        "2.weight",
    ),
    "filled head": (
        with_("2.weight", lambda t: t[:5]),
        lambda s: s | {"2.weight": torch.cat([s["2.weight"], torch.zeros(1, 16)])},
        "2.weight",
    ),
    "random head": (
        {n: t for n, t in trained().items() if not n.startswith("2.")},
        lambda s: network().state_dict() | s,
        "2.weight, 2.bias",
    ),
}


@pytest.mark.filterwarnings("ignore:Casting complex")
@pytest.mark.parametrize("case", CASES)
def test_names_what_loading_changed(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    file, filtered, named = CASES[case]
    copies = {name: tensor.clone() for name, tensor in file.items()}
    if not named:
        load_strictly(network(), filtered(copies), W, file)
        assert capsys.readouterr().err == ""
        return
    with pytest.raises(InputError, match=rf"changed them: .*\({named}\).*--allow-changed-weights"):
        load_strictly(network(), filtered(copies), W, file)
    copies = {name: tensor.clone() for name, tensor in file.items()}
    load_strictly(network(), filtered(copies), W, file, changes_allowed=True)
    assert named in capsys.readouterr().err


def test_says_what_was_rounded_and_what_was_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    file = {n: t.double() * 1.1 for n, t in trained().items()} | {"aux.weight": torch.randn(5, 5)}
    load_strictly(network(), {n: file[n] for n in trained()}, W, file)
    said = capsys.readouterr().err
    assert "rounded to the model's smaller type: 0.weight" in said
    assert "no place for 1 tensors" in said and "aux.weight" in said


def test_whole_numbers_that_a_smaller_type_cuts_are_altered() -> None:
    file, model = {"index": torch.tensor([1, 2**40])}, {"index": torch.tensor([1, 0])}
    assert changes_between(file, {"index": model["index"].int()}).altered == ["index"]
    assert changes_between(
        {"index": file["index"] % 99}, {"index": (file["index"] % 99).int()}
    ) == (changes_between({}, {}))
    third = {"count": torch.tensor(3.7)}
    assert changes_between(third, {"count": torch.tensor(3)}).altered == ["count"]


@pytest.mark.parametrize(
    ("builder", "size", "named"),
    [("vit_tiny_patch16_224", 64, "pos_embed"), ("vit_tiny_patch16_224", 224, "")],
)
def test_position_embeddings_that_timm_resamples_are_refused(
    tmp_path: Path, builder: str, size: int, named: str
) -> None:
    timm = pytest.importorskip("timm")
    from portproof.card import Card, Input, Output
    from portproof.convert.pytorch.models import build_model
    from portproof.recipe import Recipe, Resize

    torch.save(timm.create_model(builder, num_classes=5, img_size=size).state_dict(), tmp_path / W)
    card = Card(
        name="vit",
        builder=f"timm:{builder}",
        inputs=(Input(name="image", shape=(3, 224, 224)),),
        outputs=(Output(name="class", shape=(5,)),),
        recipe=Recipe(name="plain", resize=Resize(size=(224,)), crop=(224, 224)),
    )
    if not named:
        build_model(card, tmp_path / W)
        return
    with pytest.raises(InputError, match=rf"got other values.*|\({named}\)"):
        build_model(card, tmp_path / W)
