"""Small models of a user's own, as files, for the tests of the conversion."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

SMALL_NET = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, stride=2)
        self.bn = nn.BatchNorm2d(6)
        self.fc = nn.Linear(6, 5)

    def forward(self, x):
        return self.fc(torch.relu(self.bn(self.conv(x))).mean((2, 3)))


def build():
    return Net()
"""

CARD = """
name: small
builder: small.py:build
inputs: [{name: image, shape: [3, 20, 16]}]
outputs: [{name: class, shape: [5]}]
recipe: {resize: {size: [24]}, crop: [20, 16]}
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A folder with ``small.py``, its card ``small.yaml`` and seeded weights ``small.pth``."""
    (tmp_path / "small.py").write_text(SMALL_NET)
    (tmp_path / "small.yaml").write_text(CARD)
    torch.save(_small_state(), tmp_path / "small.pth")
    return tmp_path


def _small_state() -> dict[str, torch.Tensor]:
    """Seeded weights of the small network, large enough that its outputs vary."""
    names: dict[str, object] = {}
    exec(SMALL_NET, names)
    torch.manual_seed(3)
    net = names["Net"]()  # type: ignore[operator]
    with torch.no_grad():
        net.fc.weight.mul_(20)
        net.bn.running_mean.uniform_(-0.5, 0.5)
        net.bn.running_var.uniform_(0.5, 2)
    return net.state_dict()  # type: ignore[no-any-return]
