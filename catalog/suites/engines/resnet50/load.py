"""An engine loader: what `infer/suite.py FOLDER` needs beside `config.yaml`."""

import numpy as np
import torch
from torchvision.models import resnet50

from portproof import register_model


@register_model
class ResNet50Loader:
    """ResNet50 of torchvision with seeded random weights."""

    name = "resnet50"

    def load_pytorch_module(self):
        """The network."""
        torch.manual_seed(0)
        return resnet50(weights=None)

    def load_example_inputs(self):
        """One image, height x width x channels, as before preprocessing."""
        return [np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)]

    def preprocess(self, inputs):
        """What the network takes: batch x channels x height x width, normalised."""
        pixels = np.stack(inputs).transpose(0, 3, 1, 2).astype(np.float32) / 255
        mean = np.array([0.485, 0.456, 0.406], np.float32).reshape(3, 1, 1)
        std = np.array([0.229, 0.224, 0.225], np.float32).reshape(3, 1, 1)
        return [(pixels - mean) / std]
