"""Verification: an untouched run directory passes, here and elsewhere; whatever is changed is found
and named.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from portproof.reports.evidence.run_dir import verify


@pytest.fixture(scope="module")
def base(ported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the run directory that this module's tests change and put back."""
    return Path(shutil.copytree(ported, tmp_path_factory.mktemp("verify") / "run"))


def names(run_dir: Path) -> list[str]:
    return [f.file for f in verify(run_dir).changed]


def test_an_untouched_run_directory_passes_and_says_what_it_cannot_derive(
    ported: Path, stage: Callable[..., Any]
) -> None:
    done = stage("reports/verify.py", ported)
    assert done.returncode == 0, done.stdout
    assert "nothing was changed" in done.stdout
    assert "ort/perf.json: the seconds of" in done.stdout
    assert "'infer' was not run again" in done.stdout


def test_a_copy_on_another_host_passes(ported: Path, tmp_path: Path) -> None:
    """Weights, images, labels and card stand outside the run directory; where they are absent, that
    is said and everything else is checked.
    """
    copy = Path(shutil.copytree(ported, tmp_path / "elsewhere"))
    hidden = ported.parent.with_name(ported.parent.name + "-hidden")
    ported.parent.rename(hidden)
    try:
        found = verify(copy)
    finally:
        hidden.rename(ported.parent)
    assert found.changed == []
    absent = " ".join(f"{f.file} {f.what}" for f in found.not_derived)
    for name in ("weights.pth", "labels.txt", "images", "40 files"):
        assert name in absent
    assert "labels were taken from the tables of outcomes" in absent


TOGETHER = [
    "model.onnx",
    "prep/colour_03.bin",
    "ort/bs2/result/colour_05_1.bin",
    "ort/bs2/outcomes.csv",
    "logs/topn_ort.log",
    "logs/report.log",
    "report/card.yaml",
    "report/junit.xml",
    "report/plots/accuracy.svg",
    "report/report.html",
    "report/table.csv",
]


@pytest.mark.parametrize(
    "files",
    [
        TOGETHER,
        ["ort/perf.json"],
        ["port.yaml"],
        ["compare.json.proof.json"],
        ["report/report.json"],
    ],
)
def test_a_changed_byte_is_found_and_the_file_named(base: Path, files: list[str]) -> None:
    before = {base / file: (base / file).read_bytes() for file in files}
    for path, content in before.items():
        at = len(content) // 2
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    try:
        assert set(files) <= set(names(base))
    finally:
        for path, content in before.items():
            path.write_bytes(content)


def test_bytes_that_are_no_text_any_more_are_a_change_and_no_crash(base: Path) -> None:
    for files in (
        ("compare.json", "report/README.md"),
        ("eager/bs2/result.json", "prep.proof.json", "ort/perf.json"),
        ("port.yaml",),
    ):
        before = {base / file: (base / file).read_bytes() for file in files}
        for path, content in before.items():
            path.write_bytes(content[:30] + b"\xff\xfe" + content[32:])
        try:
            assert set(files) <= set(names(base))
        finally:
            for path, content in before.items():
                path.write_bytes(content)


def test_a_missing_sample_is_found(base: Path) -> None:
    before = {
        base / file: (base / file).read_bytes()
        for file in ("prep/colour_07.bin", "eager/bs2/result/colour_08_1.bin")
    }
    for path in before:
        path.unlink()
    try:
        found = {f.file: f.what for f in verify(base).changed}
    finally:
        for path, content in before.items():
            path.write_bytes(content)
    assert (
        found["prep/colour_07.bin"] == found["eager/bs2/result/colour_08_1.bin"] == "it is missing"
    )


def test_an_added_sample_is_found_in_every_folder(base: Path, ported: Path) -> None:
    added = [
        base / "prep" / "colour_99.bin",
        base / "ort/bs2/result/colour_99_1.bin",
        ported.parent / "images" / "colour_99.JPEG",
    ]
    for path in added:
        path.write_bytes(b"x")
    try:
        found = {f.file: f.what for f in verify(base).changed}
    finally:
        for path in added:
            path.unlink()
    for name in ("prep/colour_99.bin", "ort/bs2/result/colour_99_1.bin", str(added[2])):
        assert "added" in found[name]


def test_changed_weights_outside_are_found(base: Path, ported: Path) -> None:
    weights = ported.parent / "weights.pth"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    try:
        assert str(weights) in names(base)
    finally:
        weights.write_bytes(content)


def rewrite(path: Path, old: str, new: str) -> str:
    before = path.read_text()
    assert old in before
    path.write_text(before.replace(old, new, 1))
    return before


def test_a_report_edited_by_hand_is_told_by_line_and_figure(base: Path) -> None:
    readme, page, report = (
        base / "report" / name for name in ("README.md", "report.html", "report.json")
    )
    before = (
        rewrite(readme, "|  90.0% |", "|  99.0% |"),
        rewrite(page, "90.00 %", "99.00 %"),
        rewrite(report, '"value":0.9,', '"value":0.99,'),
    )
    try:
        found = [f"{f.file}: {f.what}" for f in verify(base).changed]
    finally:
        for path, text in zip((readme, page, report), before, strict=True):
            path.write_text(text)
    assert any("report/README.md: line " in line and "99.0%" in line for line in found)
    assert any("report/report.html: line " in line and "99.00 %" in line for line in found)
    assert any("figure eager/bs2/top1.value says 0.99" in line and "0.9" in line for line in found)


def forge(base: Path, file: str, old: str, new: str) -> dict[Path, bytes]:
    """Change a file and every hash of it that stands in a sidecar or in the report, as a careful
    forger would; returns what was there.
    """
    import hashlib

    before: dict[Path, bytes] = {}
    pending = [(base / file, old.encode(), new.encode())]
    while pending:
        path, one, other = pending.pop()
        content = path.read_bytes()
        before.setdefault(path, content)
        changed = content.replace(one, other)
        assert changed != content
        path.write_bytes(changed)
        hashes = [hashlib.sha256(c).hexdigest().encode() for c in (content, changed)]
        holders = [
            p
            for p in (*base.rglob("*.proof.json"), base / "report/report.json")
            if hashes[0] in p.read_bytes() and p != path
        ]
        pending += [(p, hashes[0], hashes[1]) for p in holders]
    return before


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        (
            "ort/bs2/result.json",
            '"90.0%"',
            '"95.0%"',
            "Top1 accuracy says '95.0%', the files below it give '90.0%'",
        ),
        ("compare.json", '"fixed": 0', '"fixed": 1', "fixed says 1, the files below it give 0"),
        ("ort/perf.json", '"ratio":', '"ratio":1', "ratios[0].ratio says"),
        ("ort/bs2/result.json.proof.json", '"result sha256": "', '"result sha256": "0', "sha256"),
    ],
)
def test_a_forged_figure_with_forged_hashes_is_derived_again(
    base: Path, file: str, old: str, new: str, said: str
) -> None:
    before = forge(base, file, old, new)
    try:
        found = [f"{f.file}: {f.what}" for f in verify(base).changed]
    finally:
        for path, content in before.items():
            path.write_bytes(content)
    assert any(line.startswith(file) and said in line for line in found), found


def test_a_model_exchanged_after_the_inference_breaks_the_chain(base: Path) -> None:
    """The new model's own sidecar is right, but the results were made with another one."""
    import hashlib

    model, sidecar = base / "model.onnx", base / "model.onnx.proof.json"
    content, text = model.read_bytes(), sidecar.read_text()
    exchanged = content[:-1] + bytes([content[-1] ^ 1])
    model.write_bytes(exchanged)
    sidecar.write_text(
        text.replace(hashlib.sha256(content).hexdigest(), hashlib.sha256(exchanged).hexdigest())
    )
    try:
        found = {f.file: f.what for f in verify(base).changed}
    finally:
        model.write_bytes(content)
        sidecar.write_text(text)
    assert "made from another file" in found["ort/bs2/result"]


def test_a_missing_report_or_sidecar_is_a_change(base: Path) -> None:
    for file, named in (
        ("report/report.json", "report/report.json"),
        ("report/README.zh.md", "report/README.zh.md"),
        ("prep.proof.json", "prep.proof.json"),
    ):
        content = (base / file).read_bytes()
        (base / file).unlink()
        try:
            assert named in names(base)
        finally:
            (base / file).write_bytes(content)


def test_a_sidecar_cannot_make_it_read_outside_or_forever(base: Path) -> None:
    """A run directory comes from somebody else: a sidecar may name /dev/zero, or a path that climbs
    out.
    """
    sidecar = base / "prep.proof.json"
    text = sidecar.read_text()
    data = json.loads(text)
    data["outputs"][0] |= {"path": "../../../../../etc/hostname"}
    data["inputs"]["images"][0] |= {"path": "/dev/zero", "size": 0}
    sidecar.write_text(json.dumps(data))
    try:
        found = {(f.file, f.what) for f in verify(base).changed}
    finally:
        sidecar.write_text(text)
    assert ("/dev/zero", "it is not a regular file") in found
    assert any(
        file == "prep.proof.json" and "outside the run directory" in what for file, what in found
    )


def test_a_lost_folder_is_told_in_few_lines(base: Path, tmp_path: Path) -> None:
    moved = tmp_path / "prep"
    shutil.move(base / "prep", moved)
    try:
        found = verify(base)
    finally:
        shutil.move(moved, base / "prep")
    assert sum(f.what == "it is missing" for f in found.changed) == 40
    assert "30 more files in 'prep': it is missing" in found.text
    assert found.text.count("it is missing") == 11


@pytest.mark.parametrize("name", ["ort/bs2/result.json", "ort/perf.json", "compare.json"])
def test_one_missing_file_is_one_finding(base: Path, tmp_path: Path, name: str) -> None:
    shutil.move(base / name, tmp_path / "kept")
    try:
        found = verify(base)
    finally:
        shutil.move(tmp_path / "kept", base / name)
    assert [(f.file, f.what) for f in found.changed] == [(name, "it is missing")]
    assert "{" not in found.text
    assert any(f"since {name} is missing" in f.what for f in found.not_derived)


def test_what_is_not_covered_is_listed_and_no_change(base: Path) -> None:
    (base / "notes.txt").write_text("mine")
    try:
        found = verify(base)
    finally:
        (base / "notes.txt").unlink()
    assert found.changed == []
    assert "notes.txt" in {f.file for f in found.not_derived}


@contextlib.contextmanager
def edited(base: Path, *changes: tuple[str, Callable[[bytes], bytes]]) -> Iterator[None]:
    """The run directory with some files changed, as it was afterwards."""
    before = {base / name: (base / name).read_bytes() for name, _ in changes}
    for name, change in changes:
        (base / name).write_bytes(change((base / name).read_bytes()))
    try:
        yield
    finally:
        for path, content in before.items():
            path.write_bytes(content)


def report_with(**fields: Any) -> Callable[[bytes], bytes]:
    return lambda data: json.dumps(json.loads(data) | fields).encode()


def replaced(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data.replace(old, new)


@pytest.mark.parametrize("seals", [[], None, [{}], "x", [{"path": 3}]], ids=str)
def test_seals_that_were_taken_out_are_changes(base: Path, seals: object) -> None:
    forged = ("port.yaml", replaced(b"margin_pp: 1.0", b"margin_pp: 9.0"))
    log = ("logs/topn_ort.log", replaced(b"topn", b"t0pn"))
    with edited(base, ("report/report.json", report_with(files=seals)), forged, log):
        found = {f.file: f.what for f in verify(base).changed}
    assert "its seal was taken out" in found["port.yaml"]
    assert "its seal was taken out" in found["logs/topn_ort.log"]


def test_a_changed_name_of_an_empty_field_is_a_change(base: Path) -> None:
    with edited(base, ("report/report.json", lambda data: data.replace(b"ci95", b"ci94", 1))):
        assert "report/report.json" in names(base)


@pytest.mark.parametrize("file", ["report/report.json", "compare.json", "ort/perf.json"])
def test_a_name_that_stands_twice_is_a_change(base: Path, file: str) -> None:
    """Some readers take the first, some the last."""
    with edited(
        base, (file, lambda data: data.replace(b"{", b'{"verdict": "PASS", "verdict": 1,', 1))
    ):
        found = [f.what for f in verify(base).changed if f.file == file]
    assert any("'verdict' twice" in what for what in found)


def test_one_seal_less_is_a_change(base: Path) -> None:
    def shorten(data: bytes) -> bytes:
        report = json.loads(data)
        report["files"] = [f for f in report["files"] if f["path"] != "logs/topn_ort.log"]
        return json.dumps(report).encode()

    with edited(base, ("report/report.json", shorten)):
        assert "logs/topn_ort.log" in names(base)


@pytest.mark.parametrize(
    ("versions", "verdict"),
    [
        ({"renderers": {"Jinja2": "2.0"}}, "CHANGED"),
        ({"portproof": "0.0.1"}, "UNVERIFIED"),
        ({"portproof": "0.0.1", "renderers": {}}, "UNVERIFIED"),
        ({"portproof": None, "renderers": None}, "UNVERIFIED"),
        ({"renderers": "x"}, "CHANGED"),
    ],
    ids=str,
)
def test_a_forged_report_is_not_passed_by_the_versions_that_it_states(
    base: Path, versions: dict[str, Any], verdict: str, stage: Callable[..., Any]
) -> None:
    readme = base / "report/README.md"
    forged = re.sub(rb"(\d\d\.\d\d) %", b"99.99 %", readme.read_bytes(), count=1)
    assert forged != readme.read_bytes()
    seal = {"size": len(forged), "sha256": hashlib.sha256(forged).hexdigest()}

    def reseal(data: bytes) -> bytes:
        report = json.loads(data) | versions
        report["files"] = [
            f | seal if f["path"] == "report/README.md" else f for f in report["files"]
        ]
        return json.dumps(report).encode()

    with edited(base, ("report/README.md", lambda _: forged), ("report/report.json", reseal)):
        found = verify(base)
        code = stage("reports/verify.py", base).returncode
    assert found.verdict == verdict
    assert code == {"CHANGED": 1, "UNVERIFIED": 4}[verdict]
    named = found.changed if verdict == "CHANGED" else found.unverified
    assert "report/README.md" in {f.file for f in named}


def test_pages_of_other_drawing_versions_that_are_the_same_bytes_pass(base: Path) -> None:
    with edited(base, ("report/report.json", report_with(renderers={"matplotlib": "1.0"}))):
        assert verify(base).verdict == "UNCHANGED"


def test_json_and_exit_codes(base: Path, tmp_path: Path, stage: Callable[..., Any]) -> None:
    (base / "prep.info").write_text((base / "prep.info").read_text() + "\n")
    done = stage("reports/verify.py", base, "--json")
    (base / "prep.info").write_text((base / "prep.info").read_text()[:-1])
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert found["verdict"] == "CHANGED"
    assert "prep.info" in {f["file"] for f in found["changed"]}
    nothing = stage("reports/verify.py", tmp_path)
    assert nothing.returncode == 2
    assert "no port.yaml" in nothing.stderr


def test_a_figure_that_the_run_directory_does_not_give_is_found(
    ported: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(ported, tmp_path / "run"))
    path = copy / "report/report.json"
    report = json.loads(path.read_text())
    extra = dict(report["figures"][0], id="ort/perf/ort/bs512/call/rate", value=99999.0)
    report["figures"].append(extra)
    del report["figures"][1]
    path.write_text(json.dumps(report))
    said = [f.what for f in verify(copy).changed]
    assert "figure ort/perf/ort/bs512/call/rate is only in the report" in said
    assert [what for what in said if what.endswith("is only in the run directory")]
