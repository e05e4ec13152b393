"""What is installed for the tests and the demonstration: pinned, hashed, listed, and asked about."""

from __future__ import annotations

import http.server
import json
import os
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

LOCKED = ("demo", "test")


def pins(lock: Path) -> dict[str, tuple[Requirement, list[str]]]:
    """Name -> requirement and hashes of every line of a lock."""
    found = {}
    for line in lock.read_text().replace("\\\n", " ").splitlines():
        requirement, *hashes = line.split("--hash=")
        pin = Requirement(requirement)
        found[canonicalize_name(pin.name)] = pin, [h.strip() for h in hashes]
    return found


def wanted(root: Path, extra: str) -> Iterator[Requirement]:
    """Every requirement of an extra, those of the extras that it names included."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    yield from map(Requirement, project["dependencies"])
    for text in project["optional-dependencies"][extra]:
        requirement = Requirement(text)
        if requirement.name == "portproof":
            for other in requirement.extras:
                yield from wanted(root, other)
        else:
            yield requirement


@pytest.mark.parametrize("extra", LOCKED)
def test_a_lock_pins_what_the_project_asks_for(root: Path, extra: str) -> None:
    locked = pins(root / "locks" / f"{extra}.txt")
    for requirement in wanted(root, extra):
        name = canonicalize_name(requirement.name)
        assert name in locked, f"{requirement} is not in the lock: run bash tools/lock.sh"
        (version,) = locked[name][0].specifier
        assert version.operator == "=="
        assert Version(version.version) in requirement.specifier, f"{requirement}: {version}"


@pytest.mark.parametrize("extra", LOCKED)
def test_every_line_of_a_lock_has_hashes(root: Path, extra: str) -> None:
    for name, (_, hashes) in pins(root / "locks" / f"{extra}.txt").items():
        assert hashes, name
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", h) for h in hashes), name


def test_the_demonstration_is_locked_to_the_versions_that_are_tested(root: Path) -> None:
    tested = pins(root / "locks" / "test.txt")
    for name, (pin, hashes) in pins(root / "locks" / "demo.txt").items():
        assert (tested[name][0].specifier, tested[name][1]) == (pin.specifier, hashes), name


def test_the_bill_of_materials_lists_what_the_demonstration_installs(root: Path) -> None:
    bill = json.loads((root / "locks" / "demo.cdx.json").read_text())
    listed = {canonicalize_name(c["name"]): c["version"] for c in bill["components"]}
    here = {"sys_platform": "linux", "platform_machine": "x86_64", "platform_system": "Linux"}
    here |= {"python_version": "3.11", "python_full_version": "3.11.7", "os_name": "posix"}
    installed = {
        name: str(next(iter(pin.specifier)).version)
        for name, (pin, _) in pins(root / "locks" / "demo.txt").items()
        if pin.marker is None or pin.marker.evaluate(here)
    }
    assert listed == installed, "run bash tools/lock.sh"


def audit(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("pip_audit", reason="pip-audit is not installed (bash run_tests.sh does)")
    return subprocess.run(
        ["bash", "tools/audit.sh", "--format", "json", "--timeout", "20", *options],
        cwd=root,
        env=os.environ | {"PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )


def test_no_locked_package_has_a_known_vulnerability(root: Path) -> None:
    done = audit(root)
    if not done.stdout:
        pytest.skip(f"the vulnerability service was not reached: {done.stderr.strip()[-200:]}")
    packages = json.loads(done.stdout)["dependencies"]
    if all("skip_reason" in package for package in packages):
        pytest.skip("the vulnerability service knows no package from here: nothing was audited")
    assert done.returncode == 0, [p for p in packages if p.get("vulns")]


class _Planted(http.server.BaseHTTPRequestHandler):
    """OSV's query interface (https://google.github.io/osv.dev/post-v1-query/): one flaw in PyYAML."""

    def do_POST(self) -> None:
        query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        flaw = {
            "id": "GHSA-0000-0000-0000",
            "modified": "2026-01-01T00:00:00Z",
            "published": "2026-01-01T00:00:00Z",
            "aliases": [],
            "summary": "planted",
            "affected": [{"package": query["package"], "ranges": []}],
        }
        hit = query["package"]["name"].lower() == "pyyaml"
        body = json.dumps({"vulns": [flaw]} if hit else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_the_audit_finds_a_planted_vulnerability(root: Path) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Planted) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/v1/query"
        done = audit(root, "--vulnerability-service", "osv", "--osv-url", url)
        server.shutdown()
    assert done.returncode == 1, done.stderr
    found = [p["name"] for p in json.loads(done.stdout)["dependencies"] if p.get("vulns")]
    assert found == ["pyyaml"]
