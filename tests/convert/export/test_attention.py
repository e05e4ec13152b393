"""Attention models at opset 11, as they are: timm's ViT, DeiT, Swin and ConvNeXt, and torchvision's
ViT, made small.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from portproof.convert.export.export import export

NETS = """
import timm
import torchvision

SMALL = dict(img_size=32, num_classes=7)


def vit():
    return timm.create_model("vit_tiny_patch16_224", patch_size=8, depth=2, **SMALL)


def deit():
    return timm.create_model("deit_tiny_distilled_patch16_224", patch_size=8, depth=2, **SMALL)


def swin():
    return timm.create_model("swin_tiny_patch4_window7_224", window_size=4, embed_dim=24, depths=(2, 2), num_heads=(2, 4), **SMALL)


def convnext():
    return timm.create_model("convnext_atto", depths=(1, 1, 1, 1), dims=(8, 16, 24, 32), num_classes=7)


def torchvision_vit():
    return torchvision.models.VisionTransformer(image_size=32, patch_size=8, num_layers=2, num_heads=2, hidden_dim=32, mlp_dim=64, num_classes=7)
"""
CARD = """
name: {name}
builder: nets.py:{name}
inputs: [{{name: image, shape: [3, 32, 32]}}]
outputs: [{{name: class, shape: [7]}}]
recipe: {{resize: {{rule: exact, size: [32, 32]}}}}
"""


@pytest.mark.parametrize("name", ["vit", "deit", "swin", "convnext", "torchvision_vit"])
def test_attention_models_export_at_opset_11(tmp_path: Path, name: str) -> None:
    (tmp_path / "nets.py").write_text(NETS)
    (tmp_path / "card.yaml").write_text(CARD.format(name=name))
    scope: dict[str, object] = {}
    exec(compile(NETS, "nets.py", "exec"), scope)
    torch.manual_seed(0)
    model = scope[name]().eval()  # type: ignore[operator]
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(
                parameter, 0, 0.2
            )  # as they are initialised, the outputs hardly vary and any check passes
    torch.save(model.state_dict(), tmp_path / "w.pth")

    proof = export(tmp_path / "w.pth", tmp_path / "m.onnx", str(tmp_path / "card.yaml"))

    assert proof.facts["proves"] is True
    written = onnx.load(tmp_path / "m.onnx")
    assert [(o.domain, o.version) for o in written.opset_import] == [("", 11)]
    images = np.random.default_rng(3).standard_normal((5, 3, 32, 32)).astype(np.float32)
    (answer,) = onnxruntime.InferenceSession(
        tmp_path / "m.onnx", providers=["CPUExecutionProvider"]
    ).run(None, {"image": images})
    with torch.inference_mode():
        expected = model(torch.from_numpy(images)).numpy()
    assert expected.std(axis=0).min() > 0.05
    np.testing.assert_allclose(answer, expected, atol=1e-4)
