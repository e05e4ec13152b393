"""The published schemas accept the real files, and only those of their version."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from portproof.commands.schema import FORMATS, schema_of


def check(name: str, data: Any) -> None:
    jsonschema.validate(data, schema_of(name), cls=jsonschema.Draft202012Validator)


@pytest.mark.parametrize("name", FORMATS)
def test_it_is_a_valid_schema(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schema_of(name))


@pytest.mark.parametrize(
    ("name", "folder"), [("card", "models"), ("recipe", "recipes"), ("target", "targets")]
)
def test_it_accepts_every_file_of_facts(root: Path, name: str, folder: str) -> None:
    files = list((root / "catalog" / folder).glob("*.yaml"))
    assert files
    for path in files:
        check(name, yaml.safe_load(path.read_text()))


def test_it_accepts_every_file_of_a_run_directory(ported: Path) -> None:
    check("port", yaml.safe_load((ported / "port.yaml").read_text()))
    check("perf", json.loads((ported / "ort" / "perf.json").read_text()))
    check("compare", json.loads((ported / "compare.json").read_text()))
    proofs = list(ported.rglob("*.proof.json"))
    assert len(proofs) > 5
    for path in proofs:
        check("proof", json.loads(path.read_text()))


@pytest.mark.parametrize("name", ["proof", "perf", "compare", "port"])
def test_it_refuses_another_version(ported: Path, name: str) -> None:
    path = {
        "proof": "prep.proof.json",
        "perf": "ort/perf.json",
        "compare": "compare.json",
        "port": "port.yaml",
    }[name]
    data = yaml.safe_load((ported / path).read_text())
    data["schema"] = data["schema"].rpartition("/")[0] + "/99"
    with pytest.raises(jsonschema.ValidationError):
        check(name, data)


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["doctor", "--target", "cpu", "--json"], "doctor"),
        (["why", "RUN", "--json"], "why"),
        (["throughput", "PERF", "--json"], "throughput"),
    ],
)
def test_it_accepts_what_commands_print(
    root: Path, ported: Path, command: list[str], name: str
) -> None:
    replaced = {"RUN": str(ported), "PERF": str(ported / "ort" / "perf.json")}
    check(name, json.loads(portproof(root, *(replaced.get(word, word) for word in command)).stdout))


def portproof(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PYTHONPATH": str(root / "src")}
    return subprocess.run(
        [sys.executable, "-m", "portproof", *arguments],
        capture_output=True,
        text=True,
        env=env,
        check=False,
    )


def test_the_command_lists_prints_and_writes(root: Path, tmp_path: Path) -> None:
    assert [line.split()[0] for line in portproof(root, "schema").stdout.splitlines()] == list(
        FORMATS
    )
    assert json.loads(portproof(root, "schema", "perf").stdout) == schema_of("perf")
    portproof(root, "schema", "--out", str(tmp_path))
    assert {p.name for p in tmp_path.iterdir()} == {f"{name}.schema.json" for name in FORMATS}
    unknown = portproof(root, "schema", "nothing")
    assert unknown.returncode == 2
    assert "perf" in unknown.stderr
