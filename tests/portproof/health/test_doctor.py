"""What the doctor says of this host, and of hosts with other hardware."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from portproof.health import ascend, nvidia
from portproof.health.host import Host, diagnose
from portproof.target import find_target, target_names

NPU_SMI = """
+--------------------------------------------------------------------------------------------+
| npu-smi 22.0.0                       Version: 22.0.2                                       |
+-------------------+-----------------+------------------------------------------------------+
| NPU     Name      | Health          | Power(W)     Temp(C)           Hugepages-Usage(page) |
| Chip    Device    | Bus-Id          | AICore(%)    Memory-Usage(MB)                        |
+===================+=================+======================================================+
| 0       {name:<9} | OK              | 15.8         42                0    / 0              |
| 0       0         | 0000:82:00.0    | 0            1074 / 21534                            |
+===================+=================+======================================================+
"""


def doctor(root: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PYTHONPATH": str(root / "src")} | environment
    return subprocess.run(
        [sys.executable, "-m", "portproof", "doctor", *arguments],
        capture_output=True,
        text=True,
        env=env,
        timeout=300,
        check=False,
    )


def test_json_says_of_every_target_what_it_can_do(root: Path) -> None:
    done = doctor(root, "--json")
    assert done.returncode == 0, done.stderr
    checks = json.loads(done.stdout)
    assert {c["target"] for c in checks} == set(target_names())
    assert all(set(c) == {"target", "capability", "ok", "why"} and c["why"] for c in checks)
    cpu = {c["capability"]: c["ok"] for c in checks if c["target"] == "cpu"}
    assert cpu["port"] and cpu["infer"] and cpu["export"]


def test_text_names_what_is_missing_and_how_to_get_it(root: Path, tmp_path: Path) -> None:
    done = doctor(root, "--target", "310p", PATH=str(tmp_path))
    assert done.returncode == 0
    assert "MISSING convert" in done.stdout
    assert "set_env.sh" in done.stdout


def test_without_a_target_it_fits_a_screen_and_unfolds_on_demand(root: Path) -> None:
    short, long = doctor(root), doctor(root, "--all")
    assert (short.returncode, long.returncode) == (0, 0)
    lines = short.stdout.splitlines()
    assert len(lines) == len(target_names()) + 2 <= 24
    assert {line.split()[1] for line in lines[:-2]} == set(target_names())
    assert "portproof doctor --target NAME, or --all" in lines[-1]
    assert len(long.stdout.splitlines()) > 3 * len(lines)


def test_an_unknown_target_is_bad_input(root: Path) -> None:
    done = doctor(root, "--target", "abacus")
    assert done.returncode == 2
    assert "abacus" in done.stderr


def put_program(folder: Path, name: str, prints: str) -> None:
    (folder / "answer.txt").write_text(prints)
    program = folder / name
    program.write_text(f"#!/bin/sh\ncat '{folder}/answer.txt'\n")
    program.chmod(0o755)


def put_ais_bench(folder: Path, module: str) -> None:
    (folder / "ais_bench").mkdir()
    for name in ("__init__.py", module):
        (folder / "ais_bench" / name).touch()


@pytest.mark.parametrize(
    ("chip", "target", "ok"),
    [
        ("310P3", "310p", True),
        ("310", "310p", False),
        ("310", "310", True),
        ("310B4", "310b", True),
        ("310P3", "310", False),
        ("310B2", "310b", True),  # a variant that no list names
        ("710", "310p", True),  # as drivers of its first years name the 310P
    ],
)
def test_an_npu_counts_only_for_its_own_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chip: str, target: str, ok: bool
) -> None:
    put_program(tmp_path, "npu-smi", NPU_SMI.format(name=chip))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    found = ascend.device(find_target(target), Host())
    assert found.ok is ok
    assert chip in found.text


def test_an_npu_host_without_torch_continues_what_was_begun_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_program(tmp_path, "npu-smi", NPU_SMI.format(name="310P3"))
    (tmp_path / "cann" / "bin").mkdir(parents=True)
    put_program(tmp_path / "cann" / "bin", "atc", "")
    folder = tmp_path / "cann" / f"{platform.machine()}-linux"
    folder.mkdir()
    (folder / "ascend_toolkit_install.info").write_text("version=6.3.RC1\n")
    (tmp_path / "aclruntime.py").touch()
    put_ais_bench(tmp_path, "__main__.py")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("ASCEND_TOOLKIT_HOME", str(tmp_path / "cann"))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    found = {c.capability: c for c in ascend.checks(find_target("310p"), Host())}
    assert [name for name, check in found.items() if not check.ok] == []
    assert "CANN 6.3.RC1" in found["convert"].why  # though set_env.sh put nothing on the PATH
    assert "ais_bench" in found["vendor-tool"].why
    assert (
        "copy its run directory, then 'portproof port --target 310p --run-dir DIR'"
        in found["continue"].why
    )


def test_another_package_of_the_tools_name_is_not_the_tool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As PyPI's ais_bench_benchmark 3.1.20260630 is installed.
    put_ais_bench(tmp_path, "benchmark.py")
    info = tmp_path / "ais_bench_benchmark-3.1.20260630.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: ais_bench_benchmark\nVersion: 3.1.20260630\n"
    )
    (info / "top_level.txt").write_text("ais_bench\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    check = {c.capability: c for c in ascend.checks(find_target("310"), Host())}["vendor-tool"]
    assert not check.ok
    assert "comes with ais_bench_benchmark and is not the vendor's tool" in check.why


def test_a_tool_that_lies_where_the_stages_look_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, name in (("here", "benchmark.aarch64"), ("named", "msame")):
        (tmp_path / folder).mkdir()
        put_program(tmp_path / folder, name, "")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("PORTPROOF_TOOLS", str(tmp_path / "named"))
    found = {c.capability: c for c in ascend.checks(find_target("310"), Host())}
    assert found["vendor-tool"].why.startswith(
        f"benchmark.aarch64 ({tmp_path}/here/benchmark.aarch64); msame ({tmp_path}/named/msame)"
    )


def test_a_laptop_says_from_which_interpreter_to_make_the_environment() -> None:
    found = {c.capability: c for c in ascend.checks(find_target("310"), Host())}
    assert found["continue"].why.startswith("missing: ")
    assert "PORTPROOF_PYTHON=PYTHON bash run_310p.sh" in found["infer"].why


@pytest.mark.parametrize(
    ("listing", "target", "ok"),
    [
        ("Tesla T4, 7.5\n", "t4", True),
        ("Tesla T4\n", "t4", True),
        ("NVIDIA A10, 8.6\nNVIDIA A10, 8.6\n", "a10", True),
        ("NVIDIA A100-SXM4-80GB, 8.0\n", "a10", False),
        ("NVIDIA A100-SXM4-80GB, 8.0\n", "a100", True),
        ("NVIDIA H200, 9.0\n", "h100", False),
    ],
)
def test_a_gpu_counts_only_for_its_own_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listing: str, target: str, ok: bool
) -> None:
    put_program(tmp_path, "nvidia-smi", listing)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert nvidia.device(find_target(target), Host()).ok is ok


class BuffersBy(Host):
    """This host, whose GPU one package can use, whatever is really here."""

    def __init__(self, package: str) -> None:
        self.buffers_by = package

    def output(self, command: tuple[str, ...]) -> str | None:
        if command[0] == sys.executable:
            return "" if self.buffers_by in command[-1] else None
        return super().output(command)


@pytest.mark.parametrize(
    ("banner", "package", "missing"),
    [
        ("TensorRT.trtexec [TensorRT v101601] [b11] # trtexec --help", "10.16.1.11", {}),
        (
            "TensorRT.trtexec [TensorRT v9200] # trtexec --help",
            "10.16.1.11",
            {"convert": "is of TensorRT 9, which is read but not driven"},
        ),
        (
            "TensorRT.trtexec [TensorRT v8601] # trtexec --help",
            "8.6.1",
            {"infer": "tensorrt is 8.6.1, and 10 and 11 are driven"},
        ),
    ],
)
def test_a_gpu_host_has_versions_that_are_driven(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    banner: str,
    package: str,
    missing: dict[str, str],
) -> None:
    for folder, name, prints in (
        ("a", "nvidia-smi", "Tesla T4, 7.5\n"),
        ("b", "trtexec", f"&&&& RUNNING {banner}\n"),
    ):
        (tmp_path / folder).mkdir()
        put_program(tmp_path / folder, name, prints)
        monkeypatch.setenv("PATH", str(tmp_path / folder), prepend=os.pathsep)
    info = tmp_path / "packages" / f"tensorrt-{package}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: tensorrt\nVersion: {package}\n")
    (tmp_path / "packages" / "tensorrt.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "packages"), prepend=os.pathsep)
    found = {c.capability: c for c in nvidia.checks(find_target("t4"), BuffersBy("pycuda"))}
    bad = {
        name: check.why
        for name, check in found.items()
        if not check.ok and name in ("device", "convert", "infer")
    }
    assert bad.keys() == missing.keys()
    for name, words in missing.items():
        assert words in bad[name]
    if not missing:
        assert "of TensorRT 10.16.1" in found["convert"].why
        assert "buffers by pycuda" in found["infer"].why


def test_a_gpu_that_no_package_can_use_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_program(tmp_path, "nvidia-smi", "Tesla T4, 7.5\n")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    found = {c.capability: c for c in nvidia.checks(find_target("t4"), BuffersBy("nobody"))}
    assert "none of torch, cuda-python, pycuda can use the GPU here" in found["infer"].why


def test_a_package_that_is_installed_and_broken_is_not_ok(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "aclruntime.py").write_text(
        "raise ImportError('libascend_hal.so: cannot open shared object file')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    found = Host().package("aclruntime", None)
    assert not found.ok
    assert "libascend_hal.so" in found.text


def test_pytorch_on_the_npu_is_told_and_no_port_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("torch_npu", "torchair"):  # a double that another test left is no package
        monkeypatch.delitem(sys.modules, name, raising=False)
    told = {c.capability: c for c in ascend.checks(find_target("310p-duo"), Host())}["torch_npu"]
    assert told.ok and "the backend torch_npu does: the Python package torch_npu is not" in told.why
    for name in ("torch_npu", "torchair"):
        (tmp_path / f"{name}.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    told = {c.capability: c for c in ascend.checks(find_target("310p"), Host())}["torch_npu"]
    assert told.ok and told.why.startswith("torch_npu") and "torchair" in told.why


def test_a_missing_package_says_how_to_get_it() -> None:
    found = Host().package("no_such_package_at_all", "convert")
    assert not found.ok
    assert "pip install 'portproof[convert]'" in found.text


def test_a_port_needs_everything_that_is_missing_by_name() -> None:
    checks = diagnose(["t4"])
    port = next(c for c in checks if c.capability == "port")
    missing = {c.capability for c in checks if not c.ok} - {
        "port",
        "vendor-tool",
        "counters",
        "continue",
    }
    assert port.ok is (not missing)
    for name in missing:
        assert name in port.why
