"""Dumps of an Ascend device as a side of the comparison of layers: the damaged one is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from portproof.core.errors import InputError
from portproof.metrics.dumped.kinds import open_side
from portproof.metrics.layerwise.compare import compare_layers
from portproof.metrics.repair.request import LayersRequest, compare_and_repair

from ..layerwise.residual import Residual, changed
from .ascend import Op, Part, compiled, file_name, om_json, raw, write

RELU1, CONV2 = "/block1/relu/Relu_output_0", "/block1/conv2/Conv_output_0"


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Residual:
    return Residual(tmp_path_factory.mktemp("residual"))


@pytest.fixture(scope="module")
def model(net: Residual) -> Path:
    return net.exported("model.onnx")


@pytest.fixture(scope="module")
def bad(net: Residual, model: Path) -> Path:
    return changed(model, net.folder / "bad.onnx", "/block1/conv1/Conv_output_0", lambda w: -w)


def dump(net: Residual, model: Path, folder: Path, form: str = "raw", **options: Any) -> Path:
    """An inference a sample, below a path as acl.json makes it."""
    for at, sample in enumerate(net.samples):
        run = folder / "20230425145410" / "0" / "net" / "1" / str(at)
        write(run, compiled(model, sample, **options), form)
    return folder


@pytest.mark.parametrize(
    ("form", "inputs", "origins", "graph"),
    [
        ("raw", True, True, False),
        ("raw", False, True, False),
        ("raw", True, False, False),
        ("raw", False, False, False),
        ("raw", False, False, True),
        ("npy", True, True, True),
        ("npy", False, False, True),
        ("msnpy", False, True, True),
        ("bin", True, True, True),
        ("new", False, False, False),
    ],
)
def test_a_dump_of_a_device_against_the_model(
    net: Residual, model: Path, bad: Path, tmp_path: Path,
    form: str, inputs: bool, origins: bool, graph: bool,
) -> None:  # fmt: skip
    options = {"inputs": inputs, "origins": origins}
    ops = compiled(model, net.samples[0], origins=origins)
    om = str(om_json(tmp_path / "net.json", ops)) if graph else None
    info = None if inputs and form == "raw" else net.info
    healthy = dump(net, model, tmp_path / "good", form, **options)
    report = compare_layers(model, healthy, info, om_json=om)
    assert report.agree and report.first is None and report.precision == "fp16"
    assert report.samples == 3
    # What is fused gives the result of its last part, and every such result is compared.
    assert {la.op for la in report.layers} >= {"Relu", "GlobalAveragePool", "Gemm"}
    assert all(la.relative_error is not None and la.relative_error < 2e-3 for la in report.layers)
    faulty = dump(net, bad, tmp_path / "bad", form, **options)
    wrong = compare_layers(model, faulty, info, om_json=om)
    assert wrong.first == RELU1
    assert wrong.faults[0].counterpart == "_block1_conv1_Conv_block1_relu_Relu"


def test_a_fused_activation_that_is_lost_is_named_where_it_is_lost(
    net: Residual, model: Path, tmp_path: Path
) -> None:
    """The result is the convolution's to the bit: its name, not its value, says what it is."""
    lost = onnx.load(model)
    next(n for n in lost.graph.node if n.name == "/block1/relu/Relu").op_type = "Identity"
    onnx.save(lost, tmp_path / "lost.onnx")
    for origins in (True, False):
        folder = tmp_path / f"dump{origins}"
        options = {"inputs": False, "origins": origins}
        dump(net, model, folder, "raw", computed=tmp_path / "lost.onnx", **options)
        assert compare_layers(model, folder, net.info).first == RELU1


def test_two_dumps_and_a_dump_as_the_right_side(
    net: Residual, model: Path, bad: Path, tmp_path: Path
) -> None:
    good, wrong = dump(net, model, tmp_path / "a"), dump(net, bad, tmp_path / "b")
    assert compare_layers(good, good).agree
    assert compare_layers(good, wrong).first == "_block1_conv1_Conv_block1_relu_Relu"
    # What a dump holds was rounded: it is no fault of a file that does not round.
    sound = compare_layers(good, model, net.info)
    assert sound.agree and sound.precision == "fp16"
    found = compare_layers(good, bad, net.info).first
    assert found == "_block1_conv1_Conv_block1_relu_Relu"


def test_what_the_graph_says_is_read_and_given_out(
    net: Residual, model: Path, tmp_path: Path
) -> None:
    ops = compiled(model, net.samples[0], inputs=False)
    folder = write(tmp_path / "dump", ops, "npy")
    side = open_side(folder, None, om_json=str(om_json(tmp_path / "net.json", ops)))
    last = next(t for t in side.tensors if t.name == "_block1_conv2_Conv")
    assert last.reads == ("_block1_conv1_Conv_block1_relu_Relu",)
    added = next(t for t in side.tensors if t.name.startswith("_block1_Add"))
    assert added.reads == ("_block1_conv2_Conv", "_stem_Conv_relu_Relu")
    assert last.origin is not None and last.origin.name == "/block1/conv2/Conv"
    assert side.outputs == ["_fc_Gemm"]


def test_runs_stand_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for at in (10, 9, 2):
        part = Part(np.full((1, 2), at, np.float32))
        run = tmp_path / "20230101000000" / "0" / "net" / "1" / str(at)
        write(run, [Op("Relu", "r", [], [part])])
    side = open_side(tmp_path, None)
    run = side.opened(["r"])
    assert [float(run(at, {})[0][0, 0]) for at in range(3)] == [2, 9, 10]  # type: ignore[index]


def test_names_in_a_mapping(tmp_path: Path) -> None:
    op = Op("Relu", "r" * 240, [], [Part(np.ones((1, 2), np.float32))])
    (tmp_path / "28371").write_bytes(raw(op))
    (tmp_path / "mapping.csv").write_text(f"28371,{file_name(op, 0)}\n")
    assert [t.name for t in open_side(tmp_path, None).tensors] == ["r" * 240]


def test_bfloat16_and_a_scalar(tmp_path: Path) -> None:
    values = np.array([1.5, -2.0, 3.140625], np.float32)
    half = (values.view(np.uint32) >> 16).astype(np.uint16)
    write(
        tmp_path / "raw",
        [Op("Relu", "r", [], [Part(half, dtype=27), Part(np.array(4, np.int32))])],
    )
    side = open_side(tmp_path / "raw", None)
    assert side.precision == "bf16"
    (found, number) = side.opened(["r", "r:1"])(0, {})
    assert found is not None and found.tolist() == values.tolist()
    assert number is not None and number.tolist() == 4


def refused(folder: Path) -> dict[str, tuple[Callable[[], object], str]]:
    """What spoils a folder with one dump, and what the refusal says."""
    relu = Op("Relu", "r", [], [Part(np.ones((1, 2), np.float32))])
    cut = Part(np.ones((1, 2, 3, 3, 16), np.float16), "NC1HWC0")
    weights = Part(np.ones((4, 1, 16, 16), np.float16), "FRACTAL_Z", (16, 4, 2, 2))

    def one(op: Op, name: str = "", content: bytes | None = None) -> Callable[[], object]:
        path = folder / (name or file_name(op, 1))
        return lambda: path.write_bytes(raw(op) if content is None else content)

    stem = f"{file_name(relu, 0)}.output.0"
    slices = raw(relu, json.dumps({"threadMode": 1}))
    return {
        "empty": (one(relu, content=b""), "less than 8 bytes"),
        "length": (one(relu, content=b"\xff" * 40), "a header of"),
        "nothing": (one(relu, content=b"\0" * 40), "its header is empty"),
        "nano": (one(relu, content=b"\x08" + b"\0" * 7 + b"\x5a" * 8), "nano devices"),
        "cut": (one(relu, content=raw(relu)[:-5]), "tensors up to byte"),
        "no layout": (one(Op("Conv2D", "c", [], [cut])), "nothing says its original shape"),
        "weights": (one(Op("Conv2D", "c", [], [weights])), "in the layout FRACTAL_Z"),
        "slices": (one(relu, content=slices), r"FFTS\+"),
        "slice": (one(relu, f"{file_name(relu, 0)}.4.1.0.0"), r"FFTS\+"),
        "twice": (lambda: write(folder, [relu, relu]), "the operator 'r' twice"),
        "models": (
            lambda: [write(folder / "20230101000000/0" / m / "1/0", [relu]) for m in "ab"],
            "several models or devices",
        ),
        "npy": (lambda: write(folder, [Op("Conv2D", "c", [], [cut])], "npy"), "give the files as"),
        "damaged npy": (one(relu, f"{stem}.npy", b"x"), "no head of a .npy"),
        "short bin": (one(relu, f"{stem}.7.float32.ND.bin", b"x"), "1 bytes"),
        "odd bin": (one(relu, f"{stem}.bin", b"x"), "a name without shape"),
        "no outputs": (lambda: write(folder, [Op("Relu", "r", relu.outputs)]), "no outputs of"),
        "mapping": (
            lambda: [
                (folder / "123").write_bytes(raw(relu)),
                (folder / "mapping.csv").write_bytes(b"\xff\xfe"),
            ],
            "is not UTF-8",
        ),
    }


@pytest.mark.parametrize("case", sorted(refused(Path())))
def test_what_is_refused(tmp_path: Path, case: str) -> None:
    spoil, message = refused(tmp_path)[case]
    spoil()
    with pytest.raises(InputError, match=message):
        side = open_side(tmp_path, None)
        side.opened([t.name for t in side.tensors])(0, {})


def test_what_the_compiler_put_in_is_left_out_where_it_cannot_be_read(tmp_path: Path) -> None:
    weights = Part(np.ones((4, 1, 16, 16), np.float16), "FRACTAL_Z", (16, 4, 2, 2))
    text = Part(np.zeros(3, np.int8), dtype=13)
    relu = Op("Relu", "r", [], [Part(np.ones((1, 2), np.float32)), text])
    write(tmp_path, [Op("TransData", "trans_TransData_3", [], [weights]), relu])
    assert [t.name for t in open_side(tmp_path, None).tensors] == ["r"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not a model as JSON"),
        ('{"graph": 3}', "is not a model as JSON"),
        ('{"graph": [{"op": [{"type": "Relu"}]}]}', "is not a model as JSON"),
        ('{"graph": [{"op": [{"name": "r", "type": "R", "attr": [3]}]}]}', "is not a model as"),
        (
            '{"graph": [{"op": [{"name": "a/b", "type": "R"}, {"name": "a.b", "type": "R"}]}]}',
            "have one name",
        ),
    ],
)
def test_a_graph_that_is_none(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path / "dump", [Op("Relu", "r", [], [Part(np.ones((1, 2), np.float32))])])
    (tmp_path / "om.json").write_text(text)
    with pytest.raises(InputError, match=message):
        open_side(tmp_path / "dump", None, om_json=str(tmp_path / "om.json"))


def test_a_graph_without_a_dump_of_a_device(net: Residual, model: Path, tmp_path: Path) -> None:
    (tmp_path / "om.json").write_text('{"graph": []}')
    graph = str(tmp_path / "om.json")
    request = LayersRequest(str(model), str(model), str(net.info), om_json=graph)
    with pytest.raises(InputError, match="leave --om-json out"):
        compare_and_repair(request)


def test_a_file_that_is_lost_in_a_later_run(net: Residual, model: Path, tmp_path: Path) -> None:
    folder = dump(net, model, tmp_path / "dump")
    lost = next(folder.glob("**/net/1/2/Conv2D._block1_conv2_Conv.*"))
    lost.unlink()
    report = compare_layers(model, folder, net.info)
    assert CONV2 not in {la.name for la in report.layers}
    shutil.rmtree(folder / "20230425145410" / "0" / "net" / "1" / "2")
    assert CONV2 in {la.name for la in compare_layers(model, folder, net.info).layers}
