"""Files from somebody else: none of them runs code, reads what it should not, or repaints a
terminal, a spreadsheet or a page.

What is decided here: an info list may name files anywhere, as the vendors' tools allow, since each
is read only as the raw numbers of one sample, of exactly the size that the model takes. A model
card is code by nature (its builder is run), so it may name code of its own folder only, which can
be read before it is used. An ONNX file may not read weights from outside its folder.
"""

from __future__ import annotations

import csv
import io
import json
import pickle
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from portproof.outcome import Outcomes, read_outcomes, write_outcomes
from portproof.proof.lineage import Stage
from portproof.reports.page.html_page import html_page
from portproof.reports.port.data import read_run
from portproof.reports.port.document import render
from portproof.reports.port.junit import junit_xml
from portproof.reports.port.plots import plots_of, svg_of

Command = Callable[..., subprocess.CompletedProcess[str]]

ESCAPE = "\x1b]0;owned\x07\x1b[2J"
HOSTILE = (
    "<script>alert(1)</script>|`$(touch owned)` [x](javascript:1) **b** $\\frac{1}$"
    f" {ESCAPE}\u202e"
)


class Evil:
    """Unpickling it would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


@pytest.fixture
def owned(tmp_path: Path) -> Path:
    """A file that exists when something ran that should not have."""
    return tmp_path / "owned"


def refused(done: subprocess.CompletedProcess[str], owned: Path) -> str:
    assert done.returncode == 2, done.stdout + done.stderr
    assert not owned.exists()
    assert "\x1b" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_pickle_in_the_weights_is_not_run(
    ported: Path, tmp_path: Path, owned: Path, stage: Command
) -> None:
    (tmp_path / "w.pth").write_bytes(pickle.dumps({"state_dict": Evil(owned)}))
    said = refused(
        stage(
            "convert/pth2onnx.py",
            tmp_path / "w.pth",
            tmp_path / "m.onnx",
            "--model",
            ported.parent / "colours.yaml",
        ),
        owned,
    )
    assert "w.pth" in said


def test_a_pickle_in_a_result_is_not_run(tmp_path: Path, owned: Path, stage: Command) -> None:
    (tmp_path / "result").mkdir()
    np.save(
        tmp_path / "result" / "a_1.npy", np.array([Evil(owned)], dtype=object), allow_pickle=True
    )
    (tmp_path / "labels.txt").write_text("a.jpg 0\n")
    assert "a_1.npy" in refused(
        stage("metrics/topn.py", tmp_path / "result", tmp_path / "labels.txt"), owned
    )


@pytest.mark.parametrize(
    "tag",
    ["!!python/object/apply:os.system ['touch {}']", "!!python/name:os.system", "!include {}"],
)
def test_yaml_tags_are_refused(
    ported: Path, tmp_path: Path, owned: Path, stage: Command, tag: str
) -> None:
    card = tmp_path / "card.yaml"
    card.write_text(
        (ported.parent / "colours.yaml").read_text() + f"\nname2: {tag.format(owned)}\n"
    )
    refused(
        stage(
            "preprocess/imagenet.py", ported.parent / "images", tmp_path / "prep", "--model", card
        ),
        owned,
    )
    copy = tmp_path / "run"
    copy.mkdir()
    (copy / "port.yaml").write_text(
        (ported / "port.yaml").read_text() + f"\nx: {tag.format(owned)}\n"
    )
    refused(stage("reports/readme.py", copy), owned)


def test_an_alias_bomb_is_refused_or_small(tmp_path: Path, stage: Command) -> None:
    bomb = "a0: &a0 [x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
    )
    (tmp_path / "port.yaml").write_text(bomb)
    assert stage("reports/readme.py", tmp_path, timeout=60).returncode == 2


def outside_model(folder: Path, secret: Path, location: str) -> Path:
    """An ONNX file whose weight is read from ``location``."""
    import onnx
    from onnx import TensorProto, helper

    secret.write_bytes(np.ones(192 * 3, np.float32).tobytes())
    weight = TensorProto(
        name="w", data_type=TensorProto.FLOAT, dims=[192, 3], data_location=TensorProto.EXTERNAL
    )
    weight.external_data.add(key="location", value=location)
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["image"], ["f"]),
            helper.make_node("MatMul", ["f", "w"], ["class"]),
        ],
        "g",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 8, 8])],
        [helper.make_tensor_value_info("class", TensorProto.FLOAT, ["n", 3])],
        [weight],
    )
    path = folder / "m.onnx"
    path.write_bytes(
        helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8
        ).SerializeToString()
    )
    assert (
        onnx.load(path, load_external_data=False).graph.initializer[0].external_data[0].value
        == location
    )
    return path


@pytest.mark.parametrize("absolute", [False, True])
def test_an_onnx_file_reads_no_weights_outside_its_folder(
    ported: Path, tmp_path: Path, owned: Path, stage: Command, absolute: bool
) -> None:
    folder, secret = tmp_path / "model", tmp_path / "secret.bin"
    folder.mkdir()
    model = outside_model(folder, secret, str(secret) if absolute else "../secret.bin")
    done = stage(
        "infer/run.py",
        model,
        "--info",
        ported / "prep.info",
        "--out",
        tmp_path / "out",
        "--backend",
        "ort",
        "--batch",
        1,
        cwd=ported,
    )
    assert "outside its own folder" in refused(done, owned)


def info_of(folder: Path, path: str) -> Path:
    info = folder / "x.info"
    info.write_text(f"0 {path} 8 8\n")
    return info


@pytest.mark.parametrize(
    "path", ["/etc/hostname", "/dev/zero", "../../../../../../../../etc/hostname", "/proc/self/mem"]
)
def test_an_info_list_reads_only_whole_samples(
    ported: Path, tmp_path: Path, owned: Path, stage: Command, path: str
) -> None:
    done = stage(
        "infer/run.py",
        ported / "model.onnx",
        "--info",
        info_of(tmp_path, path),
        "--out",
        tmp_path / "out",
        "--backend",
        "ort",
        "--batch",
        1,
        timeout=120,
    )
    assert Path(path).name in refused(done, owned)
    assert not list((tmp_path / "out").glob("*_1.bin"))


def test_an_info_list_may_name_a_sample_anywhere(
    ported: Path, tmp_path: Path, stage: Command
) -> None:
    """And what is written stays in the result folder, whatever the path was."""
    info = info_of(tmp_path, f"{ported}/ort/../prep/colour_00.bin")
    done = stage(
        "infer/run.py",
        ported / "model.onnx",
        "--info",
        info,
        "--out",
        tmp_path / "out",
        "--backend",
        "ort",
        "--batch",
        1,
    )
    assert done.returncode == 0, done.stderr
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["colour_00_1.bin"]


def test_a_card_runs_no_code_outside_its_folder(
    ported: Path, tmp_path: Path, owned: Path, stage: Command
) -> None:
    (tmp_path / "evil.py").write_text(f"import pathlib\npathlib.Path({str(owned)!r}).touch()\n")
    folder = tmp_path / "card"
    folder.mkdir()
    for builder in ("../evil.py:build", f"{tmp_path}/evil.py:build"):
        card = folder / "card.yaml"
        card.write_text(
            (ported.parent / "colours.yaml").read_text().replace("colours.py:build", builder)
        )
        done = stage(
            "convert/pth2onnx.py",
            ported.parent / "weights.pth",
            tmp_path / "m.onnx",
            "--model",
            card,
        )
        assert "outside its own folder" in refused(done, owned)


def test_names_of_samples_cannot_repaint_the_terminal(tmp_path: Path, stage: Command) -> None:
    (tmp_path / "result").mkdir()
    np.zeros(3, np.float32).tofile(tmp_path / "result" / f"{ESCAPE}x_1.bin")
    (tmp_path / "labels.txt").write_text("a.jpg 0\n")
    done = stage("metrics/topn.py", tmp_path / "result", tmp_path / "labels.txt")
    assert done.returncode == 2
    assert "\x1b" not in done.stdout + done.stderr
    assert "x1b" in done.stderr


FORMULAS = ["=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", "\tx", "'quoted", "plain"]


def test_formulas_in_a_table_of_outcomes_are_text_and_come_back(tmp_path: Path) -> None:
    count = len(FORMULAS)
    outcomes = Outcomes(
        tuple(FORMULAS),
        *(np.zeros(count, np.int64) for _ in range(2)),
        np.ones(count, np.int64),
        np.ones(count),
    )
    write_outcomes(tmp_path / "o.csv", outcomes)
    rows = list(csv.reader(io.StringIO((tmp_path / "o.csv").read_text())))[1:]
    assert not [row for row in rows if row[0][0] in "=+-@\t\r"]
    assert read_outcomes(tmp_path / "o.csv").ids == tuple(FORMULAS)


@pytest.fixture
def hostile_run(ported: Path, tmp_path: Path) -> Path:
    """A run directory whose card, sidecars, measurements and label file name come from an enemy."""
    copy = Path(shutil.copytree(ported, tmp_path / "run"))
    card = yaml.safe_load((copy / "report/card.yaml").read_text())
    card |= {"name": HOSTILE, "published": {"top1": 90.0, "source": HOSTILE}}
    card["outputs"][0]["name"] = HOSTILE
    (copy / "report/card.yaml").write_text(yaml.safe_dump(card))
    settings = yaml.safe_load((copy / "port.yaml").read_text())
    (copy / "port.yaml").write_text(
        yaml.safe_dump(settings | {"labels": HOSTILE, "images": HOSTILE})
    )
    for sidecar in copy.rglob("*.proof.json"):
        data = json.loads(sidecar.read_text())
        data["environment"]["processor"] = data["versions"]["numpy"] = HOSTILE
        data["versions"][HOSTILE] = "1"
        data["command"] += [HOSTILE, "two\nlines\n```\n"]
        sidecar.write_text(json.dumps(data))
    perf = json.loads((copy / "ort/perf.json").read_text())
    perf |= {"status": "unstable", "reasons": [HOSTILE]}
    perf["measurements"][1]["label"] = HOSTILE
    (copy / "ort/perf.json").write_text(json.dumps(perf))
    (copy / "report/table.md").unlink()
    return copy


@pytest.mark.parametrize(
    ("language", "template"), [("en", "readme"), ("zh", "readme"), ("en", "modelzoo")]
)
def test_a_readme_shows_hostile_text_as_text(
    hostile_run: Path, language: str, template: str
) -> None:
    text = render(read_run(hostile_run), language, template)
    outside_code = "\n".join(part for i, part in enumerate(text.split("\n```")) if i % 2 == 0)
    assert "\x1b" not in text and "\u202e" not in text
    assert "alert(1)" in outside_code
    # Code spans and fences show their text as it is; everywhere else no markup is left.
    prose = "".join(
        part for i, part in enumerate(outside_code.replace("``", "`").split("`")) if i % 2 == 0
    )
    assert "<script" not in prose
    assert text.count("\n```") % 2 == 0
    for line in text.splitlines():
        assert not line.startswith("two")


def test_a_page_shows_hostile_text_as_text(hostile_run: Path) -> None:
    page = html_page(read_run(hostile_run))
    assert (
        page.count("<script") == page.count("</script>") == 1
    )  # the page's own, named by its hash
    assert "&lt;script&gt;alert(1)" in page
    assert "\x1b" not in page and "\u202e" not in page


def test_plots_and_junit_stay_well_formed(hostile_run: Path) -> None:
    data = read_run(hostile_run)
    for plot in plots_of(data):
        root = ET.fromstring(svg_of(plot, simulated=False))
        assert not [e for e in root.iter() if e.tag.endswith("script")]
    root = ET.fromstring(junit_xml(data).encode())
    assert root[0].get("name", "").startswith("portproof <script>")
    assert "\x1b" not in junit_xml(data)


@pytest.mark.parametrize("script", ["reports/verify.py"])
def test_verifying_a_hostile_run_directory_says_so_quietly(
    hostile_run: Path, stage: Command, script: str
) -> None:
    done = stage(script, hostile_run)
    assert done.returncode == 1
    assert "\x1b" not in done.stdout + done.stderr
    assert "CHANGED" in done.stdout


def test_why_shows_hostile_text_as_text(hostile_run: Path) -> None:
    from portproof.core.text import printable
    from portproof.rundir.answers import answers

    lines = [printable(f"{a.artefact} {a.why}") for a in answers(hostile_run)]
    assert lines and "\x1b" not in "".join(lines)


def test_a_stage_may_not_name_a_module_to_import(hostile_run: Path) -> None:
    """The name of a stage chooses the module that derives its figures again: it must be a plain
    word.
    """
    from portproof.reports.evidence.run_dir import _rechecked

    proof = read_run(hostile_run).stages[0].proof
    for name in ("..os", "topn.os", "__init__", "labels", "../x", "os"):
        proof.stage = name
        found = list(_rechecked([Stage("x", proof)], hostile_run))
        assert not [f for f in found if "Traceback" in f.what]
