"""Parcels: what they hold, that they verify, and what a stranger's is refused for."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard
from cryptography.hazmat.primitives import serialization as pem
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portproof.core.errors import InputError
from portproof.proof.lock import locked_artefact
from portproof.reports.parcels.open_parcel import unpack
from portproof.reports.parcels.verify_parcel import verify_parcel
from portproof.reports.parcels.write_parcel import pack

Stage = Callable[..., Any]
MOST = 1 << 30


def key_pair(folder: Path, name: str) -> tuple[Path, Path]:
    key = Ed25519PrivateKey.generate()
    private, public = folder / f"{name}.pem", folder / f"{name}.pub.pem"
    private.write_bytes(
        key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption())
    )
    public.write_bytes(
        key.public_key().public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public


@pytest.fixture(scope="module")
def parcel(ported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parcel")
    key, _ = key_pair(folder, "mine")
    pack(ported, folder / "p.tar.zst", key=key, who="A. Porter", samples=3)
    return folder / "p.tar.zst"


def members(parcel: Path) -> dict[str, bytes]:
    """The members, read with the standard library."""
    data = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(parcel.read_bytes())).read()
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {m.name: archive.extractfile(m).read() for m in archive}  # type: ignore[union-attr]


def written(
    path: Path, content: list[tuple[tarfile.TarInfo, bytes]], tail: bytes = b"", **tar: Any
) -> Path:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", **tar) as archive:
        for info, data in content:
            archive.addfile(info, io.BytesIO(data))
    path.write_bytes(zstandard.ZstdCompressor().compress(buffer.getvalue() + tail))
    return path


def plain(name: str, data: bytes) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    return info, data


def test_a_parcel_verifies_without_models_and_samples(parcel: Path) -> None:
    origin, found = verify_parcel(parcel, MOST, parcel.with_name("mine.pub.pem"))
    assert found.verdict == "UNCHANGED", found.text
    assert "the key that you gave" in origin[0]
    assert "A. Porter" in origin[1]
    assert "the signer's claim" in origin[1]
    inside = members(parcel)
    assert len([n for n in inside if n.startswith("prep/")]) == 3
    assert not [n for n in inside if n.endswith((".onnx", ".pth"))]
    assert {"logs/export.log", "report/report.json", "ort/perf.json"} <= inside.keys()


def test_the_command_packs_and_verifies(ported: Path, tmp_path: Path, stage: Stage) -> None:
    out = tmp_path / "p.tar.zst"
    done = stage("reports/pack.py", ported, "-o", out, "--models", "--samples", 2)
    assert done.returncode == 0, done.stderr
    assert stage("reports/pack.py", ported, "-o", out).returncode == 2
    done = stage("reports/verify.py", out)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "parcel: not signed" in done.stdout
    _, public = key_pair(tmp_path, "other")
    done = stage("reports/verify.py", out, "--signer", public)
    assert done.returncode == 2
    assert "is not signed, a signature of" in done.stderr
    assert stage("reports/verify.py", ported, "--signer", public).returncode == 2


def test_of_two_that_pack_at_once_the_second_replaces_nothing(ported: Path, tmp_path: Path) -> None:
    out = tmp_path / "run.tar.zst"
    with (
        locked_artefact(out, "--out"),
        pytest.raises(InputError, match=r"'.*run.tar.zst' is in use: by process .* another --out"),
    ):
        pack(ported, out)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / ".run.tar.zst.lock").touch()
    out.write_bytes(b"first")
    with pytest.raises(InputError, match="is there already"):
        pack(ported, out)
    assert [path.name for path in tmp_path.iterdir()] == ["run.tar.zst"]


def test_another_key_is_not_the_expected_one(parcel: Path, tmp_path: Path) -> None:
    _, public = key_pair(tmp_path, "other")
    with pytest.raises(InputError, match="ask the sender which key was used"):
        verify_parcel(parcel, MOST, public)


def test_what_was_changed_before_packing_is_found(ported: Path, tmp_path: Path) -> None:
    shutil.copytree(ported.parent, tmp_path / "port")
    run = tmp_path / "port" / ported.name
    text = (run / "report/README.md").read_text()
    (run / "report/README.md").write_text(text.replace("%", "9 %", 1))
    log = run / "logs/export.log"
    log.unlink()
    pack(run, tmp_path / "p.tar.zst")
    _, found = verify_parcel(tmp_path / "p.tar.zst", MOST)
    assert {"report/README.md", "logs/export.log"} <= {f.file for f in found.changed}


def test_only_models_images_and_samples_may_stay_behind(parcel: Path, tmp_path: Path) -> None:
    """A manifest that leaves a result out does not make it allowed."""
    inside = members(parcel)
    manifest = json.loads(inside["manifest.json"])
    gone = next(m for m in manifest["files"] if "/result/" in m["path"])
    manifest["files"].remove(gone)
    manifest["left_out"].append(gone["path"])
    content = [
        plain("manifest.json", json.dumps(manifest).encode()),
        plain("signature.json", b"null"),
    ]
    content += [plain(m["path"], inside[m["path"]]) for m in manifest["files"]]
    _, found = verify_parcel(written(tmp_path / "p", content), MOST)
    assert gone["path"] in {f.file for f in found.changed}


def test_a_changed_member_or_manifest_is_refused(parcel: Path, tmp_path: Path) -> None:
    inside = members(parcel)
    name = "ort/perf.json"
    other = dict(inside) | {name: inside[name].replace(b"0", b"1", 1)}
    path = written(tmp_path / "a", [plain(n, d) for n, d in other.items()])
    with pytest.raises(InputError, match="has other bytes than its manifest says"):
        verify_parcel(path, MOST)
    claim = inside["manifest.json"].replace(b"A. Porter", b"B. Porter")
    other = dict(inside) | {"manifest.json": claim}
    path = written(tmp_path / "b", [plain(n, d) for n, d in other.items()])
    with pytest.raises(InputError, match="it was changed after it was signed"):
        verify_parcel(path, MOST)


def hostile(
    inside: dict[str, bytes],
) -> Iterator[tuple[str, list[tuple[tarfile.TarInfo, bytes]], str]]:
    """Archives that no packer wrote, and a part of the sentence that refuses each."""
    manifest = json.loads(inside["manifest.json"])

    def claiming(path: str, size: int = 1) -> list[tuple[tarfile.TarInfo, bytes]]:
        claim = manifest | {"files": [{"path": path, "size": size, "sha256": "0" * 64}]}
        return [
            plain("manifest.json", json.dumps(claim).encode()),
            plain("signature.json", b"null"),
        ]

    link = tarfile.TarInfo("a")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    device = tarfile.TarInfo("a")
    device.type = tarfile.CHRTYPE
    yield "climbing", claiming("../a"), "which is no path inside it"
    yield "absolute", claiming("/tmp/a"), "which is no path inside it"
    yield "odd", claiming("a//b"), "which is no path inside it"
    yield "empty", claiming(""), "which is no path inside it"
    yield "link", [*claiming("a", 0), (link, b"")], "the file 'a' was expected"
    yield "device", [*claiming("a", 0), (device, b"")], "the file 'a' was expected"
    yield "other size", [*claiming("a", 2), plain("a", b"x")], "its manifest says 2"
    yield "huge", claiming("a", 1 << 40), "raise --max-gib"
    yield "negative", claiming("a", -1), "a negative size"
    yield "missing", claiming("a"), "no member follows"
    yield "more", [*claiming("a", 1), plain("a", b"x"), plain("b", b"x")], "other bytes"
    yield "no manifest", [plain("a", b"x")], "the file 'manifest.json' was expected"
    yield "nonsense", [plain("manifest.json", b"[1")], "the manifest is not JSON"
    signature = plain("signature.json", b'{"public_key": "zz", "signature": "00"}')
    yield "signature", [plain("manifest.json", inside["manifest.json"]), signature], "not that of"


def test_hostile_archives_are_refused_in_one_sentence(parcel: Path, tmp_path: Path) -> None:
    for name, content, sentence in hostile(members(parcel)):
        folder = tmp_path / name
        folder.mkdir()
        path = written(tmp_path / f"{name}.zst", content)
        with pytest.raises(InputError) as raised:
            unpack(path, folder, MOST)
        assert sentence in str(raised.value), name
        assert "\n" not in str(raised.value)
    assert not (tmp_path / "a").exists()


def test_a_header_of_gigabytes_takes_no_memory(tmp_path: Path) -> None:
    """An extended header that claims 8 GiB of zeros, which compress to nothing."""
    info = tarfile.TarInfo("manifest.json")
    info.type, info.size = tarfile.XHDTYPE, 8 << 30
    path = tmp_path / "bomb.zst"
    with path.open("wb") as file, zstandard.ZstdCompressor().stream_writer(file) as stream:
        stream.write(info.tobuf(tarfile.GNU_FORMAT))
        for _ in range(64):
            stream.write(bytes(1 << 20))
    script = (
        "import resource, sys; from pathlib import Path\n"
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))\n"
        "from portproof.reports.parcels.open_parcel import unpack\n"
        "from portproof.core.errors import InputError\n"
        "try: unpack(Path(sys.argv[1]), Path(sys.argv[2]), 1 << 30)\n"
        "except InputError as error: print(error)\n"
    )
    command = [sys.executable, "-c", script, str(path), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "the file 'manifest.json' was expected" in done.stdout, done.stderr


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_damaged_bytes_never_pass(parcel: Path, tmp_path: Path, data: st.DataObject) -> None:
    """Any change of the archive is refused, whatever it hits."""
    whole = parcel.read_bytes()
    raw = bytearray(zstandard.ZstdDecompressor().stream_reader(io.BytesIO(whole)).read())
    at = data.draw(st.integers(0, len(raw) - 1))
    cut = data.draw(st.booleans())
    raw = raw[:at] if cut else raw
    if not cut:
        raw[at] ^= data.draw(st.integers(1, 255))
    path = tmp_path / "damaged.zst"
    path.write_bytes(zstandard.ZstdCompressor().compress(bytes(raw)))
    folder = tmp_path / "out"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        manifest, _ = unpack(path, folder, MOST)
    except InputError:
        return
    # What nobody reads: the padding of a member, fields of a header beside its name and size.
    for member in manifest.files:
        assert (folder / member.path).stat().st_size == member.size
