"""Samples from an info list, from a packed folder and straight from images give the same
results.
"""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from portproof.core.errors import InputError
from portproof.infer.offline.inference import run
from portproof.infer.offline.sources import PackedSamples, _groups
from portproof.manifest import write_info
from portproof.preprocess.cards.resolve import resolve_card
from portproof.preprocess.dataset.info_list import bin_samples
from portproof.preprocess.dataset.make import make_bins
from portproof.preprocess.dataset.pack import make_packed
from portproof.preprocess.pixels.normalisation import METADATA_KEY, normalisation_by


@pytest.fixture
def pictures(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Seven images beside the tiny model, as ``prep2/*.bin`` with a list, as ``packed/``, and as
    they are.
    """
    monkeypatch.chdir(tiny.folder)
    rng = np.random.default_rng(5)
    Path("images").mkdir()
    for i in range(7):
        Image.fromarray(rng.integers(0, 256, (3 + i, 4, 3), dtype=np.uint8)).save(
            f"images/p{i}.png"
        )
    recipe = resolve_card("card.yaml").preprocessing
    make_bins(Path("images"), Path("prep2"), recipe, workers=1)
    make_packed(Path("images"), Path("packed"), recipe, workers=1)
    write_info("prep2.info", bin_samples("prep2", 2, 2))
    return tiny


def results(folder: str) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in Path(folder).iterdir()}


def test_the_three_ways_give_the_same_bytes(pictures: Any) -> None:
    listed = run("model.onnx", "prep2.info", "a", batch=3)
    packed = run("model.onnx", "packed", "b", batch=3)
    straight = run("model.onnx", None, "c", images="images", card="card.yaml", batch=3, workers=2)
    assert len(results("a")) == 14
    assert results("a") == results("b") == results("c")
    assert {Path(r.path).name for r in listed.inputs["samples"]} == {f"p{i}.bin" for i in range(7)}
    (whole,) = packed.inputs["samples"]
    assert whole.sha256 == hashlib.sha256(Path("packed/samples.npy").read_bytes()).hexdigest()
    assert {Path(r.path).name: r.sha256 for r in straight.inputs["images"]} == {
        p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in Path("images").iterdir()
    }


@pytest.mark.parametrize("source", ["packed", "images"])
def test_an_interrupted_run_continues_and_vouches_for_every_byte(
    pictures: Any, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import portproof.infer.offline.inference as offline

    arguments: dict[str, Any] = (
        {"info": "packed"} if source == "packed" else {"info": None, "images": "images"}
    )
    whole = run("model.onnx", out="whole", batch=2, card="card.yaml", **arguments)
    calls = 0

    def breaks(self: Any, batch: Any, original: Any = offline._Run._run_one) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return original(self, batch)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(offline._Run, "_run_one", breaks)
        run("model.onnx", out="cut", batch=2, card="card.yaml", **arguments)
    assert len(results("cut")) == 8
    again = run("model.onnx", out="cut", batch=2, card="card.yaml", **arguments)
    assert again.facts["continued_from"] == 4
    assert results("cut") == results("whole")
    assert (
        again.inputs[source if source == "images" else "samples"]
        == whole.inputs[source if source == "images" else "samples"]
    )


def test_what_does_not_fit_is_refused(pictures: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--model"):
        run("model.onnx", None, "r", images="images")
    with pytest.raises(InputError, match="which samples"):
        run("model.onnx", None, "r")
    Path("card.yaml").write_text(Path("card.yaml").read_text().replace("2, 2]", "4, 4]"))
    with pytest.raises(InputError, match=r"\(3, 4, 4\), input 'image' takes float32 \(3, 2, 2\)"):
        run("model.onnx", None, "r", images="images", card="card.yaml")
    np.save("packed/samples.npy", np.zeros((7, 3, 2, 2), np.float64))
    with pytest.raises(InputError, match="has float64"):
        run("model.onnx", "packed", "r")
    np.save("packed/samples.npy", np.zeros((6, 3, 2, 2), np.float32))
    with pytest.raises(InputError, match="7 ids"):
        PackedSamples(Path("packed"))
    Path("images/p3.png").write_bytes(b"no image")
    Path("card.yaml").write_text(Path("card.yaml").read_text().replace("4, 4]", "2, 2]"))
    with pytest.raises(InputError, match=r"p3\.png"):
        run("model.onnx", None, "r", images="images", card="card.yaml")


def test_a_model_that_normalises_by_itself_takes_no_normalised_samples(pictures: Any) -> None:
    """By the metadata of the ONNX file: it says that scale, mean and std are in the model, and the
    prepared samples have them already.
    """
    recipe = resolve_card("card.yaml").preprocessing
    model = onnx.load("model.onnx")
    for folded in (False, True):
        said = msgspec.json.encode(normalisation_by(recipe, folded)).decode()
        onnx.helper.set_model_props(model, {METADATA_KEY: said})
        onnx.save(model, f"folded_{folded}.onnx")
    run("folded_False.onnx", "prep2.info", "fits", batch=3)
    for samples in ("prep2.info", "packed"):
        with pytest.raises(InputError, match="normalised already"):
            run("folded_True.onnx", samples, "twice", batch=3)


@given(st.lists(st.integers(1, 20), max_size=30), st.sampled_from([0, 4, 600_000, 20_000_000]))
def test_groups_hold_all_spans_in_order_and_stay_small(sizes: list[int], size: int) -> None:
    ends = list(itertools.accumulate(sizes))
    spans = [range(end - n, end) for n, end in zip(sizes, ends, strict=True)]
    groups = list(_groups(spans, size))
    assert [span for group in groups for span in group] == spans
    for group, following in itertools.zip_longest(groups, groups[1:], fillvalue=[]):
        samples = sum(map(len, group))
        assert len(group) == 1 or (samples <= 16 and samples * size <= 10_000_000)
        if following:  # no more would have gone into it
            more = samples + len(following[0])
            assert more > 16 or more * size > 10_000_000
