"""Ports without labels: sound and broken ports of ten models, judged by ``compare --outputs`` and
by a constant cosine.

Models of torchvision, timm and transformers (where installed) are built by configuration. Their
weights are random, of a size that lets signals through (He's initialisation, since many a model's
own makes its outputs constant), with the statistics of a few batches. PyTorch in fp32 is the
reference, and PyTorch in half precision is the port: as it is, and with one fault each. So is ONNX
Runtime in int8, as this project's own quantisation makes it from other samples, against the int8
ruler. A sound port must pass and a broken one fail; beside it stands what a cosine of 0.99 would
have said.

Example: ``python benchmarks/outputs.py --samples 8``
"""

from __future__ import annotations

import argparse
import copy
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT / "src")

from portproof.convert.precision.reduce import ReduceRequest, reduce
from portproof.core import progress
from portproof.metrics.outputs.compare import Ruler, compare_outputs
from portproof.metrics.outputs.output_figures import OutputComparison

TORCHVISION = ("resnet18", "mobilenet_v2", "shufflenet_v2_x0_5", "densenet121")
TIMM = ("regnety_002", "convnext_atto", "vit_tiny_patch16_224", "mixer_s32_224")
TRANSFORMERS = ("bert", "vit")
SIDE = 96


def torchvision_model(name: str) -> nn.Module:
    """A classifier of ten classes."""
    from torchvision import models

    made: nn.Module = models.get_model(name, weights=None, num_classes=10)
    return made


def timm_model(name: str) -> nn.Module:
    """A classifier of ten classes; the size is given where the model has it built in."""
    import timm

    size = {"img_size": SIDE} if name.startswith(("vit", "mixer")) else {}
    made: nn.Module = timm.create_model(name, num_classes=10, **size)
    return made


def transformers_model(name: str) -> nn.Module:
    """A small model that takes embeddings (bert) or images (vit), and gives its logits."""
    import transformers as t

    small: dict[str, Any] = {
        "hidden_size": 64,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "intermediate_size": 128,
        "num_labels": 10,
        "attn_implementation": "eager",
    }
    if name == "bert":
        return FromEmbeddings(t.BertForSequenceClassification(t.BertConfig(**small)))
    return Logits(t.ViTForImageClassification(t.ViTConfig(image_size=SIDE, **small)))


class Logits(nn.Module):
    """A model of transformers whose answer is its logits."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The logits."""
        logits: torch.Tensor = self.model(x).logits
        return logits


class FromEmbeddings(Logits):
    """The same from embeddings, cut out of an image so that all models take one input."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The logits of 16 tokens of width 64."""
        tokens = x.flatten(1)[:, : 16 * 64].reshape(-1, 16, 64)
        logits: torch.Tensor = self.model(inputs_embeds=tokens).logits
        return logits


def trained_like(model: nn.Module) -> nn.Module:
    """Statistics of a few batches, and biases and scales that are not 0 and 1."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for layer in layers_of(model):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)  # type: ignore[arg-type]
        for name, parameter in model.named_parameters():
            if name.endswith("gamma"):  # layer scale begins near 0: the block would not matter
                parameter.fill_(0.3)
            elif parameter.ndim == 1:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
        model.train()
        for _ in range(8):
            model(torch.randn(8, 3, SIDE, SIDE, generator=generator))
    return model.eval()


def layers_of(model: nn.Module) -> list[nn.Module]:
    """Convolutions and dense layers, in order."""
    return [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]


def swapped_channel(model: nn.Module) -> None:
    """The first two input channels of the first layer change places."""
    weight: torch.Tensor = layers_of(model)[0].weight.data  # type: ignore[assignment]
    weight[:, [0, 1]] = weight[:, [1, 0]].clone()


def wrong_epsilon(model: nn.Module) -> None:
    """Every normalisation's epsilon is 0.01."""
    for module in model.modules():
        if hasattr(module, "eps") and isinstance(module.eps, float):
            module.eps = 1e-2


def dropped_branch(model: nn.Module) -> None:
    """The middle layer answers nothing, so what was added to its block's input is lost."""
    layers = layers_of(model)
    chosen = layers[len(layers) // 2]
    chosen.weight.data.zero_()  # type: ignore[operator, union-attr]
    if chosen.bias is not None:
        chosen.bias.data.zero_()  # type: ignore[operator, union-attr]


def corrupted_layer(model: nn.Module) -> None:
    """A quarter of the channels of one layer are half as large again."""
    layers = layers_of(model)
    weight: torch.Tensor = layers[2 * len(layers) // 3].weight.data  # type: ignore[assignment]
    weight[: max(1, len(weight) // 4)] *= 1.5


FAULTS: tuple[Callable[[nn.Module], None], ...] = (
    swapped_channel,
    wrong_epsilon,
    dropped_branch,
    corrupted_layer,
)


def write(folder: Path, answers: torch.Tensor) -> Path:
    """A result folder."""
    folder.mkdir()
    for i, row in enumerate(answers.float().numpy()):
        row.tofile(folder / f"s{i}_1.bin")
    return folder


def samples(folder: Path, letter: str, count: int, seed: int) -> tuple[torch.Tensor, Path]:
    """Samples and their info list."""
    x = torch.randn(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))
    for i, sample in enumerate(x.numpy()):
        sample.tofile(folder / f"{letter}{i}.bin")
    info = folder / f"{letter}.info"
    info.write_text("".join(f"{i} {folder}/{letter}{i}.bin {SIDE} {SIDE}\n" for i in range(count)))
    return x, info


def exported(model: nn.Module, x: torch.Tensor, path: Path) -> Path:
    """The model's ONNX file."""
    torch.onnx.export(
        copy.deepcopy(model), (x[:1],), str(path), dynamo=False, opset_version=17,
        input_names=["image"], output_names=["class"],
        dynamic_axes={"image": {0: "n"}, "class": {0: "n"}},
    )  # fmt: skip
    return path


def int8_answers(model: nn.Module, x: torch.Tensor, seen: Path, path: Path) -> torch.Tensor:
    """The answers of the model in int8, calibrated on the samples of the list ``seen``."""
    import onnxruntime

    plain = exported(model, x, path.with_suffix(".fp32.onnx"))
    reduce(ReduceRequest(plain, path, "int8", info=seen))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return torch.cat([torch.from_numpy(session.run(None, {"image": x[i : i + 1].numpy()})[0])
                      for i in range(len(x))])  # fmt: skip


def judge_model(name: str, model: nn.Module, count: int, folder: Path) -> list[str]:
    """A row a port of the model."""
    x, info = samples(folder, "s", count, seed=1)
    _, seen = samples(folder, "c", 4 * count, seed=2)
    onnx = folder / "model.onnx"
    with torch.no_grad():
        exported(model, x, onnx)
        reference = write(folder / "reference", model(x))
        rows = []
        for fault in (None, *FAULTS):
            port = copy.deepcopy(model)
            if fault:
                fault(port)
            kind = fault.__name__ if fault else "sound"
            answers = write(folder / kind, port.half()(x.half()))
            rows.append(row(name, kind, compare_outputs(reference, answers, Ruler(onnx, info))))
        low = write(folder / "bf16", copy.deepcopy(model).bfloat16()(x.bfloat16()))
        ruler = Ruler(onnx, info, "bf16")
        rows.append(row(name, "sound bf16", compare_outputs(reference, low, ruler)))
        for kind, fault in (("sound int8", None), ("dropped branch int8", dropped_branch)):
            port = copy.deepcopy(model)
            if fault:
                fault(port)
            path = folder / f"{kind.replace(' ', '_')}.onnx"
            answers = write(path.with_suffix(""), int8_answers(port, x, seen, path))
            ruler = Ruler(onnx, info, "int8")
            rows.append(row(name, kind, compare_outputs(reference, answers, ruler)))
    return rows


def row(name: str, kind: str, found: OutputComparison) -> str:
    """A line of the table."""
    output = found.outputs[0]
    by_cosine = "PASS" if output.cosine_least >= 0.99 else "FAIL"
    right = "PASS" if kind.startswith("sound") else "FAIL"
    mark = "" if output.verdict.value == right else " (not as planted)"
    ratio = float("nan") if output.ratio is None else output.ratio
    return (
        f"| {name} | {kind.replace('_', ' ')} | {ratio:.3g} | {output.verdict.value}{mark} |"
        f" {output.cosine_least:.6f} | {by_cosine} |"
    )


def models() -> list[tuple[str, Callable[[str], nn.Module], str]]:
    """Name, builder and the builder's argument."""
    found = [(f"torchvision {n}", torchvision_model, n) for n in TORCHVISION]
    found += [(f"timm {n}", timm_model, n) for n in TIMM]
    try:
        import transformers  # noqa: F401
    except ImportError:
        print("transformers is not installed: its models are left out", file=sys.stderr)
        return found
    return found + [(f"transformers {n}", transformers_model, n) for n in TRANSFORMERS]


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--samples", type=int, default=8, help="per model (default 8)")
    parser.add_argument("--only", default="", help="models whose name holds this text")
    options = parser.parse_args()
    progress.configure(quiet=True)
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    print("| model | port | error over the ruler's | verdict | least cosine | cosine of 0.99 |")
    print("|---|---|---|---|---|---|")
    for name, build, argument in models():
        if options.only not in name:
            continue
        torch.manual_seed(0)
        with tempfile.TemporaryDirectory() as folder:
            model = trained_like(build(argument))
            print(*judge_model(name, model, options.samples, Path(folder)), sep="\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
