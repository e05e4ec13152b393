"""An ONNX model whose intermediate tensors can be looked at, some at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from portproof.backend import Array, Feeds, LoadRequest, TensorSpec, complete
from portproof.convert.onnxfile.read import load_onnx
from portproof.core.errors import InputError, MissingPackageError, ToolError
from portproof.infer.backends import ort
from portproof.infer.runtimes.model_files import sample_shapes
from portproof.metrics.layerwise import graph
from portproof.metrics.layerwise.emulation import hidden_precision, widened
from portproof.metrics.layerwise.graph import Run, Tensor
from portproof.metrics.outputs.ruler import rounded_model

if TYPE_CHECKING:
    import onnx

#: What the tensors looked at together may need, in bytes.
_TOGETHER_BYTES = graph.TOGETHER_BYTES
#: Protocol buffers hold no more.
_LARGEST_MODEL = (1 << 31) - 1


class Probe:
    """A model and its intermediate tensors, in the order in which they are computed.

    ONNX Runtime runs it node by node, without optimising it: a fused node has no intermediate
    tensors. On a processor it would compute a float16 file in float32; here every result of such a
    file is rounded to float16 (``emulation.py``). ``precision`` rounds a float32 file likewise, but
    for the nodes of ``kept``.
    """

    def __init__(
        self,
        path: Path,
        card: str | None,
        precision: str | None = None,
        kept: frozenset[str] = frozenset(),
    ) -> None:
        try:
            import onnx
            import onnxruntime
        except ImportError as error:
            raise MissingPackageError(
                error.name or "onnx", "the comparison of layers", "convert"
            ) from error
        self._onnx, self._runtime, self.path = onnx, onnxruntime, path
        session = ort.load(path, LoadRequest())
        self.inputs: tuple[TensorSpec, ...] = complete(session.inputs, sample_shapes(card))
        self.outputs = [spec.name for spec in session.outputs]
        session.close()
        self._model = load_onnx(path)
        if self._model.ByteSize() > _LARGEST_MODEL:
            raise InputError(
                f"'{path}' is larger than 2 GiB with its weights, more than can be run with its"
                " layers visible"
            )
        self.tensors = [
            Tensor(name, node.op_type, node.name, tuple(node.input))
            for node in self._model.graph.node
            for name in node.output
            if name
        ]
        self._bytes = self._sizes()
        self.precision = precision or session.precision
        #: What the weights of a float32 file were rounded to.
        self.hidden = hidden_precision(self._model) if self.precision == "fp32" else None
        self._names: Mapping[str, str] = {}
        self._round(precision, kept)

    def _round(self, precision: str | None, kept: frozenset[str]) -> None:
        """Put the rounding of the file's own narrow type, or of ``precision``, into the model."""
        half = any(w.data_type == self._onnx.TensorProto.FLOAT16 for w in _weights(self._model))
        if half:
            self._model, self._names = widened(self._model)
            self.precision = "fp16"
            self.inputs = tuple(
                TensorSpec(s.name, "float32" if s.dtype == "float16" else s.dtype, s.shape)
                for s in self.inputs
            )
        elif precision is not None:
            rounded = rounded_model(self._model, precision, kept)
            names = {name for node in rounded.graph.node for name in node.output}
            self._model = rounded
            self._names = {
                t.name: f"{t.name}_rounded" for t in self.tensors if f"{t.name}_rounded" in names
            }

    def _sizes(self) -> dict[str, int]:
        """Bytes of every tensor for one sample, as far as shapes can be inferred."""
        try:
            inferred = self._onnx.shape_inference.infer_shapes(self._model)
        # operators of other domains have no inference; sizes only decide how many tensors are
        # looked at together
        except Exception:
            inferred = self._model
        sizes = {}
        for value in (*inferred.graph.value_info, *inferred.graph.output):
            shape = value.type.tensor_type.shape.dim
            sizes[value.name] = 8 * int(
                np.prod([max(1, d.dim_value) for d in shape], dtype=np.int64)
            )
        return sizes

    def own_name(self, name: str) -> str:
        """The name that a tensor bears in :attr:`model`, where its rounding stands behind it."""
        return self._names.get(name, name)

    @property
    def model(self) -> onnx.ModelProto:
        """The model as it is run, with its rounding; not to be changed."""
        return self._model

    def groups(self, names: Sequence[str]) -> Iterator[list[str]]:
        """The names in order, in groups that fit into memory together."""
        return graph.in_groups(names, self._bytes, _TOGETHER_BYTES)

    def opened(self, names: Sequence[str]) -> Run:
        """An ONNX Runtime session whose outputs are these tensors."""
        session = self._session(self._model, [self._names.get(name, name) for name in names])

        def run(_: int, feeds: Feeds) -> list[Array | None]:
            return self._answer(session, feeds)

        return run

    def patched(self, replaced: Sequence[str], names: Sequence[str]) -> Any:
        """A function from inputs and the values of the tensors ``replaced`` to those of ``names``:
        the model with these tensors as they should be.
        """
        model = self._onnx.ModelProto()
        model.CopyFrom(self._model)
        given = {self._names.get(name, name): f"{name}_given" for name in replaced}
        for node in model.graph.node:
            node.input[:] = [given.get(name, name) for name in node.input]
        kinds = self._kinds()
        model.graph.input.extend(
            self._onnx.helper.make_tensor_value_info(
                new, kinds.get(old, self._onnx.TensorProto.FLOAT), None
            )
            for old, new in given.items()
        )
        asked = [self._names.get(name, name) for name in names]
        session = self._session(model, asked)

        def run(feeds: Feeds, values: Mapping[str, Array]) -> list[Array | None]:
            more = {
                f"{name}_given": values[name]
                for name in replaced
                if f"{name}_given" in {i.name for i in session.get_inputs()}
            }
            return self._answer(session, {**feeds, **more})

        return run

    def _kinds(self) -> dict[str, int]:
        inferred = self._onnx.shape_inference.infer_shapes(self._model)
        return {
            v.name: v.type.tensor_type.elem_type
            for v in (*inferred.graph.value_info, *inferred.graph.output)
        }

    def _session(self, model: onnx.ModelProto, names: Sequence[str]) -> Any:
        finals = [self._onnx.ValueInfoProto(name=name) for name in names]
        own = list(model.graph.output)
        del model.graph.output[:]
        model.graph.output.extend(finals)
        options = self._runtime.SessionOptions()
        options.graph_optimization_level = self._runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 3
        # Spinning threads would slow the comparison of what this run gives.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            return self._runtime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime's own exceptions have no common class
            raise InputError(
                f"'{self.path}' cannot be run with its layers visible:"
                f" {' '.join(str(error).split())[:300]}"
            ) from error
        finally:
            del model.graph.output[:]
            model.graph.output.extend(own)

    def _answer(self, session: Any, feeds: Feeds) -> list[Array | None]:
        kinds = {s.name: s.dtype for s in self.inputs}
        cast = {
            name: array.astype(kinds[name], copy=False) if name in kinds else array
            for name, array in feeds.items()
        }
        try:
            values = session.run(None, cast)
        except Exception as error:  # as above
            raise ToolError(
                f"ONNX Runtime failed while it ran '{self.path}':"
                f" {' '.join(str(error).split())[:300]}"
            ) from error
        return [v if isinstance(v, np.ndarray) else None for v in values]


def _weights(model: onnx.ModelProto) -> Iterator[Any]:
    yield from model.graph.initializer
    for node in model.graph.node:
        if node.op_type == "Constant":
            yield from (a.t for a in node.attribute if a.HasField("t"))
