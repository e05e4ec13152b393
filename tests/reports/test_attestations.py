"""Attestations: what a port's file says, what is refused, and the page made of them."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from portproof.core.errors import InputError
from portproof.proof.lock import locked_artefact
from portproof.reports.attestations.page import devices_page
from portproof.reports.attestations.record import Attestation, read_attestations, write_attestation

Stage = Callable[..., Any]


def test_a_port_is_attested_once(ported: Path, tmp_path: Path, stage: Stage) -> None:
    words = ("reports/attest.py", ported, "--who", "A. Porter", "--out", tmp_path / "a.yaml")
    done = stage(*words)
    assert done.returncode == 0, done.stderr
    found = yaml.safe_load((tmp_path / "a.yaml").read_text())
    report = (ported / "report/report.json").read_bytes()
    assert found["report_sha256"] == hashlib.sha256(report).hexdigest()
    assert (found["who"], found["targets"]) == ("A. Porter", ["cpu"])
    assert {"torch", "onnxruntime", "portproof"} <= set(found["versions"])
    assert any(line.startswith("ort accuracy ") for line in found["verdicts"])
    again = stage(*words)
    assert again.returncode == 2
    assert "there already" in again.stderr


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("port.yaml", "rehearse: false", "rehearse: true", "it ran on no device"),
        ("compare.json", '"fixed": 0', '"fixed": 1', "does not verify"),
    ],
)
def test_what_cannot_be_attested(
    ported: Path, tmp_path: Path, stage: Stage, file: str, old: str, new: str, said: str
) -> None:
    shutil.copytree(ported.parent, tmp_path / "port")
    run_dir = tmp_path / "port" / ported.name
    (run_dir / file).write_text((run_dir / file).read_text().replace(old, new))
    done = stage("reports/attest.py", run_dir, "--who", "x", "--out", tmp_path / "a.yaml")
    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "a.yaml").exists()


def test_the_page_is_that_of_the_files(root: Path) -> None:
    page = devices_page(read_attestations(root / "docs/attestations"))
    assert (root / "docs/devices.md").read_text() == page


def test_an_emulated_device_is_no_device(tmp_path: Path) -> None:
    claim = {
        "schema": "portproof.attestation/1",
        "who": "A | B",
        "date": "2026-11-27",
        "targets": ["310p"],
        "devices": ["none"],
        "model": "m",
        "emulated": "ACL by a program of our own",
    }
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(claim))
    page = devices_page(read_attestations(tmp_path))
    assert "EMULATED" in page
    assert r"A \| B" in page
    assert "310p" in page.rpartition("Nobody has attested")[2]
    (tmp_path / "b.yaml").write_text(yaml.safe_dump(claim | {"speed": 3}))
    with pytest.raises(InputError, match=r"b\.yaml"):
        read_attestations(tmp_path)


def test_of_two_that_attest_at_once_the_second_replaces_nothing(tmp_path: Path) -> None:
    fields = {"who": "A", "date": "2026-01-01", "targets": ["cpu"], "devices": ["a processor"]}
    fields |= {"model": "m", "verdicts": [], "versions": {}, "host": {}, "report_sha256": "0" * 64}
    attestation = msgspec.convert(fields, Attestation)
    with (
        locked_artefact(tmp_path / "a.yaml", "--out"),
        pytest.raises(InputError, match=r"'.*a.yaml' is in use: by process .* another --out"),
    ):
        write_attestation(tmp_path / "a.yaml", attestation)
    write_attestation(tmp_path / "a.yaml", attestation)
    with pytest.raises(InputError, match="there already"):
        write_attestation(tmp_path / "a.yaml", attestation)
    assert [path.name for path in tmp_path.iterdir()] == ["a.yaml"]
