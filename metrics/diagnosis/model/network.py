"""An ONNX model of which one tensor, or several operators, are made otherwise."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portproof.core.errors import InputError
from portproof.metrics.diagnosis.likeness import Rows

Array = NDArray[Any]
#: A larger file takes too long to try changes of.
_LARGEST_BYTES = 600 << 20
#: Rows of a batch when many variants of one tensor are tried together.
_TOGETHER = 64
#: A network of fewer weights waits longer for a second thread than it gains by it.
_SMALL = 1_000_000


@dataclass(frozen=True)
class Layer:
    """A tensor with weights behind it: ``output`` of the node ``name``, channels along ``axis``,
    ``weight`` and ``bias`` (None: none) by name, ``source``: what the node reads.
    """

    name: str
    op: str
    output: str
    source: str
    axis: int
    weight: str
    bias: str | None


@dataclass(frozen=True)
class Bend:
    """An activation: ``output`` = ``kind`` of ``source``, made by the nodes ``at``."""

    name: str
    kind: str
    source: str
    output: str
    at: tuple[int, ...]


class Network:
    """A model of one input and one batch axis. :class:`InputError` if it cannot be taken apart."""

    def __init__(self, path: Path) -> None:
        from portproof.convert.onnxfile.read import load_onnx

        if path.stat().st_size > _LARGEST_BYTES:
            raise InputError(f"'{path}' is too large for trying changes inside it")
        self.model = load_onnx(path)
        graph = self.model.graph
        self.weights: dict[str, Array] = {t.name: self._array(t) for t in graph.initializer}
        inputs = [i for i in graph.input if i.name not in self.weights]
        if len(inputs) != 1:
            raise InputError(f"'{path}' has {len(inputs)} inputs, one was expected")
        self.input = inputs[0].name
        batch = inputs[0].type.tensor_type.shape.dim[0]
        self.batch = batch.dim_value or None
        self.output = graph.output[0].name
        self.makers = {name: i for i, n in enumerate(graph.node) for name in n.output}
        self.layers = list(self._layers())
        self.bends = list(self._bends())

    @staticmethod
    def _array(tensor: Any) -> Array:
        from onnx import numpy_helper

        return np.asarray(numpy_helper.to_array(tensor))

    def _layers(self) -> Iterator[Layer]:
        for node in self.model.graph.node:
            weight = node.input[1] if len(node.input) > 1 else ""
            if weight not in self.weights or self.weights[weight].dtype != np.float32:
                continue
            if node.op_type in ("Conv", "ConvTranspose", "Gemm"):
                bias = node.input[2] if len(node.input) > 2 else None
                bias = bias if bias in self.weights else None
            elif node.op_type == "MatMul":
                bias = None
            else:
                continue
            axis = -1 if node.op_type in ("Gemm", "MatMul") else 1
            output, bias = self._with_added_bias(node, bias)
            yield Layer(
                node.name or node.output[0], node.op_type, output, node.input[0], axis, weight, bias
            )

    def _with_added_bias(self, node: Any, bias: str | None) -> tuple[str, str | None]:
        """The sum where a bias of its own node follows a product."""
        output = node.output[0]
        if node.op_type != "MatMul":
            return output, bias
        readers = [n for n in self.model.graph.node if output in n.input]
        if len(readers) == 1 and readers[0].op_type == "Add":
            other = next((i for i in readers[0].input if i != output), "")
            if other in self.weights:
                return readers[0].output[0], other
        return output, bias

    def _bends(self) -> Iterator[Bend]:
        nodes = self.model.graph.node
        kinds = {
            **{"Relu": "relu", "LeakyRelu": "leaky relu", "Elu": "elu", "HardSwish": "hard swish"},
            **{"Tanh": "tanh", "Gelu": "gelu", "PRelu": "prelu", "Clip": "relu6"},
            **{"Softplus": "softplus"},
        }
        gated = {"Sigmoid": "silu", "HardSigmoid": "hard swish"}
        for i, node in enumerate(nodes):
            if node.op_type in kinds:
                yield Bend(node.name, kinds[node.op_type], node.input[0], node.output[0], (i,))
            elif node.op_type in gated:
                source = node.input[0]
                product = [
                    j
                    for j, n in enumerate(nodes)
                    if n.op_type == "Mul" and {*n.input} == {source, node.output[0]}
                ]
                if product:
                    made = nodes[product[0]].output[0]
                    yield Bend(node.name, gated[node.op_type], source, made, (i, product[0]))
                else:
                    yield Bend(node.name, "sigmoid", source, node.output[0], (i,))

    def run(
        self, model: Any, feeds: Mapping[str, Array], outputs: Sequence[str], step: int = _TOGETHER
    ) -> list[Array]:
        """Outputs of a changed model, all samples in parts of its batch, else of ``step``."""
        return self._parts(self.session(model), feeds, outputs, step)

    def session(self, model: Any) -> Any:
        """A session of a changed model."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.log_severity_level = 4
        # Spinning threads cost more than they gain where many small models run one by one.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if sum(w.size for w in self.weights.values()) < _SMALL:
            options.intra_op_num_threads = 1
        return onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def _parts(
        self,
        session: Any,
        feeds: Mapping[str, Array],
        outputs: Sequence[str],
        step: int,
        whole: Mapping[str, Array] | None = None,
    ) -> list[Array]:
        """All samples in parts; ``whole``: inputs without a batch axis."""
        count = len(next(iter(feeds.values())))
        step = self.batch or step
        parts = []
        for first in range(0, count, step):
            part = {n: a[first : first + step] for n, a in feeds.items()}
            short = step - len(next(iter(part.values()))) if self.batch else 0
            if short:
                part = {n: np.concatenate([a, a[-1:].repeat(short, 0)]) for n, a in part.items()}
            made = session.run(list(outputs), part | dict(whole or {}))
            parts.append([a[: len(a) - short] for a in made])
        return [np.concatenate(p) for p in zip(*parts, strict=True)]

    def copy(self) -> Any:
        """A copy of the model to change."""
        changed = type(self.model)()
        changed.CopyFrom(self.model)
        return changed

    def values(self, samples: Array, names: Sequence[str]) -> dict[str, Array]:
        """Intermediate tensors by name."""
        import onnx

        model = self.copy()
        known = {o.name for o in model.graph.output}
        model.graph.output.extend(onnx.ValueInfoProto(name=n) for n in names if n not in known)
        return dict(zip(names, self.run(model, {self.input: samples}, names), strict=True))

    def rows(self, model: Any, samples: Array) -> Rows:
        """The first output of a changed model for one batch of samples, (samples, numbers)."""
        made = self.run(model, {self.input: samples}, [self.output], len(samples))[0]
        return made.reshape(len(samples), -1).astype(np.float64)

    def reweighted(self) -> Callable[[Array, Mapping[str, Array]], Rows]:
        """The first output, (samples, numbers), as a function of samples and of those weights and
        biases of layers that are others, by name.
        """
        from onnx import TensorProto, helper

        model = self.copy()
        known = {i.name for i in model.graph.input}
        for name in dict.fromkeys(n for y in self.layers for n in (y.weight, y.bias) if n):
            if name not in known:
                shape = self.weights[name].shape
                given = helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
                model.graph.input.append(given)
        session = self.session(model)

        def answers(samples: Array, given: Mapping[str, Array]) -> Rows:
            feeds = {self.input: samples}
            made = self._parts(session, feeds, [self.output], _TOGETHER, given)[0]
            return made.reshape(len(samples), -1).astype(np.float64)

        return answers

    def after(self, name: str, samples: Array) -> Callable[[Array], Rows]:
        """What the model answers when the tensor ``name`` is given: a function of an array
        (variants, samples, ...) that returns (variants, samples, numbers).
        """
        from onnx import TensorProto, helper

        model = self.copy()
        node = model.graph.node[self.makers[name]]
        for i, output in enumerate(node.output):
            if output == name:
                node.output[i] = f"{name}, as it was"
        given = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        if name == self.output:
            return lambda variants: variants.reshape(*variants.shape[:2], -1).astype(np.float64)
        reads = _needed(model.graph, self.output)
        model.graph.input.append(given)
        if self.input not in reads:
            kept = [i for i in model.graph.input if i.name != self.input]
            del model.graph.input[:]
            model.graph.input.extend(kept)
        session = self.session(model)

        def answers(variants: Array) -> Rows:
            feeds = {name: variants.reshape(-1, *variants.shape[2:])}
            if self.input in reads:
                feeds[self.input] = np.tile(samples, (len(variants), *[1] * (samples.ndim - 1)))
            made = self._parts(session, feeds, [self.output], _TOGETHER)[0]
            return made.reshape(*variants.shape[:2], -1).astype(np.float64)

        return answers


def _needed(graph: Any, output: str) -> set[str]:
    """Leave only the nodes that an output needs; returns the names that these read."""
    wanted, kept = {output}, []
    for node in reversed(graph.node):
        if wanted & {*node.output}:
            wanted |= {*node.input}
            kept.append(type(node).FromString(node.SerializeToString()))
    del graph.node[:]
    graph.node.extend(reversed(kept))
    return wanted


def network_of(reference: Path, card: str) -> Network:
    """The network of a reference: its ONNX file, or weights exported with ``card``."""
    if reference.suffix == ".onnx":
        return Network(reference)
    from portproof.convert.export.export import export

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        export(reference, path, card)
        return Network(path)
