"""Whether the last layer of the port has other weights altogether: another checkpoint's head, one
that was not loaded, one of few bits.

What that layer reads is the reference's then, and the port's outputs are a linear function of it.
Which one is fitted to some of the samples, by least squares; only the others tell whether it holds.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from portproof.metrics.diagnosis.candidates import Candidate, Found, score_of
from portproof.metrics.diagnosis.likeness import Rows, unlikeness
from portproof.metrics.diagnosis.model.changes import FIXES
from portproof.metrics.diagnosis.model.network import Array, Layer, Network

#: Every fifth sample is held out; the others must be so many times as many as numbers to be fitted.
_FIFTH, _ENOUGH = 5, 1.2
#: What it may leave of the port's differences between samples: what another layer does is nearly
#: linear in what this one reads where samples are alike.
_LEFT = 1e-3
#: Operators that may stand between the last layer and the outputs.
_BEHIND = ("Softmax", "LogSoftmax", "Flatten", "Reshape", "Squeeze", "Identity")


def other_last_layer(network: Network, samples: Callable[[], Array], port: Rows) -> Found | None:
    """The fault, if a linear function of what the reference's last layer reads gives the port's
    outputs; None if not, if there is no such layer, or if there are too few samples to tell.

    ``port``: its outputs of all samples made comparable, (samples, classes).
    """
    layer = last_layer(network)
    if layer is None or len(port) < _ENOUGH * max(network.weights[layer.weight].shape):
        return None
    read = network.values(samples(), [layer.source])[layer.source]
    known = np.column_stack([read.reshape(len(port), -1), np.ones(len(port))]).astype(np.float64)
    held_out = np.arange(len(port)) % _FIFTH == _FIFTH - 1
    if (~held_out).sum() < _ENOUGH * known.shape[1]:
        return None
    fitted = np.linalg.lstsq(known[~held_out], port[~held_out], rcond=1e-6)[0]
    made, own = known[held_out] @ fitted, port[held_out]
    # Of what differs between samples: a constant fits outputs that hardly do.
    varies = np.square(own - own.mean(axis=0)).sum()
    share = float(np.square(own - made).sum() / max(float(varies), 1e-300))
    if share > _LEFT:
        return None
    evidence = (
        f"{layer.name} with other weights: what it reads in the reference gives the port's outputs"
        f" with a matrix that was fitted to {int((~held_out).sum())} samples; on the"
        f" {int(held_out.sum())} others that leaves {100 * share:.2g} % of how they differ"
    )
    candidate = Candidate(
        "layer-weights", score_of(unlikeness(own, made)), evidence, FIXES["layer-weights"]
    )
    return Found(candidate, left=share)


def last_layer(network: Network) -> Layer | None:
    """The layer whose matrix gives the outputs, but for a softmax and the like."""
    nodes, name = network.model.graph.node, network.output
    layers = {y.output: y for y in network.layers if y.op in ("Gemm", "MatMul")}
    while name not in layers:
        node = nodes[network.makers[name]] if name in network.makers else None
        if node is None or node.op_type not in _BEHIND:
            return None
        name = node.input[0]
    return layers[name]
