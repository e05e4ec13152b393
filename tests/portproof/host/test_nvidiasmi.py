"""``nvidia-smi``'s answers: with and without GPUs, of old and new drivers, and none at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from portproof.host.nvidiasmi import GpuFacts, gpu_here, query

#: What drivers before 495 do with the field compute_cap (nvidia-smi's own text and exit code).
OLD = """case "$1" in *compute_cap*)
    echo 'Field "compute_cap" is not a valid field to query.'; exit 2;;
esac
echo "Tesla T4, 470.82.01"
"""


@pytest.mark.parametrize(
    ("script", "gpus", "line"),
    [
        (
            "echo 'Tesla T4, 7.5, 535.54.03'",
            [GpuFacts("Tesla T4", "7.5", "535.54.03")],
            "Tesla T4, 7.5, 535.54.03",
        ),
        (OLD, [GpuFacts("Tesla T4", None, "470.82.01")], "Tesla T4, 470.82.01"),
        (
            "printf 'NVIDIA A10, 8.6, 595.10\\nNVIDIA A10, 8.6, 595.10\\n\\n'",
            [GpuFacts("NVIDIA A10", "8.6", "595.10")] * 2,
            "NVIDIA A10, 8.6, 595.10; NVIDIA A10, 8.6, 595.10",
        ),
        ("echo 'No devices were found'", [], None),
        ("echo 'NVIDIA-SMI has failed'; exit 9", None, None),
    ],
)
def test_the_gpus_of_a_host(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    gpus: list[GpuFacts] | None,
    line: str | None,
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert (query(), gpu_here()) == (gpus, line)


def test_a_host_without_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (query(), gpu_here()) == (None, None)
