"""Suites whose requests come from several clients, in torchpipe's form, and models by decorator."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from portproof.core.errors import InputError
from portproof.infer.load_test.record import LoadRun, LoadTest
from portproof.infer.suites.artefacts import Artefacts
from portproof.infer.suites.forms import torchpipe
from portproof.infer.suites.page import Found, Row
from portproof.infer.suites.suite_file import Suite, SuiteModel, SuiteSubject, read_suite
from portproof.measurement import Performance

#: The first column of the source's table, in its order.
ROWS = [
    "tool's version",
    "num_clients",
    "total_number",
    "throughput::qps",
    "throughput::avg",
    "latency::TP50",
    "latency::TP90",
    "latency::TP99",
    "latency::avg",
    "-50",
    "-20",
    "-10",
    "-1",
    "cpu_usage",
]
SUBJECTS = (SuiteSubject(label="ort", backend="ort"),)


def found(latencies: list[float], wall_s: float) -> Found:
    run = LoadRun(
        label="ort",
        model="m",
        backend="ort",
        batch=1,
        scenario="closed-loop",
        clients=10,
        requests=len(latencies),
        precision="fp32",
        inputs="random",
        wall_s=wall_s,
        busy_s=1.0,
        cpu_s=2 * wall_s,
        latencies_s=latencies,
        device="cpu",
    )
    test = LoadTest(runs=[run])
    return Found(Performance(measurements=[]), [], "random", "random", None, None, load=test)


def test_torchpipes_rows_in_its_order_and_units(tmp_path: Path) -> None:
    suite = Suite(
        about="t",
        form="torchpipe",
        models=("m", "n"),
        subjects=SUBJECTS,
        batches=(1,),
        clients=10,
        requests=200,
        opset=17,
    )
    rows = [
        Row(suite.entries[0], found([k / 1000 for k in range(1, 201)], 4.0)),
        Row(suite.entries[1], why="its package is not here", absent=True),
    ]
    torchpipe.write(suite, rows, tmp_path)
    lines = (tmp_path / "README.md").read_text().splitlines()
    assert {"* precision: fp32", "* opset: 17", "* input size: 1x3x224x224"} <= set(lines)
    table = [line.strip("| ").split(" | ") for line in lines[lines.index("| | m | n |") + 2 :]]
    cells = {row[0]: row[1] for row in table if len(row) == 3}
    assert list(cells) == ROWS
    assert {row[2] for row in table if len(row) == 3} == {"not run"}
    # 200 requests in 4 s of 10 clients; latencies of 1 to 200 ms.
    assert cells["throughput::qps"] == "50.00" and cells["throughput::avg"] == "200.00"
    assert (cells["latency::TP50"], cells["latency::TP90"]) == ("100.00", "180.00")
    assert cells["latency::TP99"] == "too few" and cells["latency::avg"] == "100.50"
    assert [cells[f"-{n}"] for n in (50, 20, 10, 1)] == ["151.00", "181.00", "191.00", "200.00"]
    assert cells["cpu_usage"] == "200.0" and cells["num_clients"] == "10"
    assert lines[-1] == "n: not run: its package is not here"


SUITE = """\
about: a test
form: torchpipe
models: [models.py]
subjects: [{label: ort, backend: ort, threads: 1}]
batches: [1]
clients: 2
requests: 40
"""
MODELS = """\
import torch
from portproof import register_model


@register_model
def narrow():
    return torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten(), torch.nn.Linear(12, 5))


@register_model
def wide():
    return torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten(), torch.nn.Linear(12, 9))
"""


def test_registered_models_under_load(
    tmp_path: Path, stage: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    pytest.importorskip("torch")
    (tmp_path / "s.yaml").write_text(SUITE)
    (tmp_path / "models.py").write_text(MODELS)
    assert [e.name for e in read_suite(tmp_path / "s.yaml").entries] == ["narrow", "wide"]
    words = ("s.yaml", "--out", "out", "--models", "wide", "--requests", 24, "--clients", 3)
    done = stage("infer/suite.py", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "out" / "README.md").read_text()
    assert "| | wide |" in text
    assert "| num_clients | 3 |" in text and "| total_number | 24 |" in text
    refused = stage("infer/suite.py", "cpu", "--out", "o", "--clients", 3, cwd=tmp_path)
    assert refused.returncode == 2 and "suite that has them" in refused.stderr


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("requests: 40\n", "", "they need 'requests'"),
        ("[models.py]", "[absent.py]", "absent.py' does not exist"),
        ("[models.py]", "[empty.py]", "registers no model"),
        ("[models.py]", "[broken.py]", "the model's code failed in"),
    ],
)
def test_what_is_wrong_with_them_is_said(tmp_path: Path, old: str, new: str, reason: str) -> None:
    (tmp_path / "s.yaml").write_text(SUITE.replace(old, new))
    (tmp_path / "empty.py").write_text("x = 1\n")
    (tmp_path / "broken.py").write_text("x = 1 / 0\n")
    with pytest.raises(InputError, match=reason):
        read_suite(tmp_path / "s.yaml")


def test_random_weights_are_not_held_against_the_published_ones(tmp_path: Path) -> None:
    """A card with a checksum refuses every other file, so the suite's own card has none."""
    suite = Suite(about="a", models=("regnety_016",), subjects=SUBJECTS)
    made: Any = Artefacts(suite, suite.entries[0], tmp_path / "m").without_checksum()
    assert made.card.weights.md5 is None
    assert made.card.published == Artefacts(suite, suite.entries[0], tmp_path).card.published
    assert (
        made.card.preprocessing == Artefacts(suite, suite.entries[0], tmp_path).card.preprocessing
    )
    stated = Suite(
        about="a",
        models=(SuiteModel(model="regnety_016", weights="w.pth"),),
        subjects=SUBJECTS,
    )
    kept = Artefacts(stated, stated.entries[0], tmp_path).without_checksum()
    assert kept.card.weights.md5 == "fb4fc8ffd7cbf1a209d66a5ca621b451"
