"""The second verifier (tools/reprove.py): it and 'portproof verify' agree over a corpus of good and
tampered run directories; where one knows less than the other, the corpus says why.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from portproof.metrics.accuracy.score import Reading, judge, score
from portproof.metrics.accuracy.topn import topn
from portproof.metrics.paired.bounds import mcnemar_p, score_bound, wilson_lower
from portproof.metrics.paired.compare import compare
from portproof.proof.work import Work
from portproof.reports.evidence import rerender
from portproof.reports.evidence.run_dir import verify
from portproof.reports.port.data import RunData
from portproof.reports.port.figures import wilson

SCRIPT = Path(__file__).resolve().parents[2] / "tools/reprove.py"


def load() -> Any:
    spec = importlib.util.spec_from_file_location("reprove", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


reprove = load()


READING = {"dtype": "float32", "classes": None, "output": None, "allow_missing": False}
PACK_DAMAGE: dict[str, Callable[[Path], object]] = {
    "an id twice": lambda f: (f / "ids.txt").write_text("b\nb\n"),
    "few ids": lambda f: (f / "ids.txt").write_text("b\n"),
    "a cut id": lambda f: (f / "ids.txt").write_text("b\na"),
    "cut": lambda f: os.truncate(f / "output1.npy", 140),
    "several": lambda f: shutil.copy(f / "output1.npy", f / "output2.npy"),
    "other samples": lambda f: (f / "ids.txt").write_text("b\nc\n"),
}


@pytest.mark.parametrize("dtype", ["<f4", "<f2"])
def test_packed_results_are_scored_by_the_bytes_of_the_format(tmp_path: Path, dtype: str) -> None:
    rows = np.array([[0, 2, 1], [3, 1, 1]], dtype)
    (tmp_path / "r").mkdir()
    np.save(tmp_path / "r/output1.npy", rows)
    (tmp_path / "r/ids.txt").write_text("b\na\n")
    (tmp_path / "labels.txt").write_text("a.png 1\nb.png 1\n")
    scored = score(tmp_path / "r", tmp_path / "labels.txt", digest=True)
    found = reprove.score(reprove.Run(str(tmp_path)), "r", READING, {"a": 1, "b": 1})
    table = scored.outcomes
    columns = (table.label, table.predicted, table.rank, table.margin)
    assert [*found[0]] == [*table.ids]
    assert [*found[0].values()] == [*zip(*(c.tolist() for c in columns), strict=True)]
    assert found[1:] == (scored.classes, scored.ties, [], scored.sha256)


@pytest.mark.parametrize("damage", PACK_DAMAGE)
def test_packed_results_that_are_not_whole_are_refused(tmp_path: Path, damage: str) -> None:
    (tmp_path / "r").mkdir()
    np.save(tmp_path / "r/output1.npy", np.zeros((2, 3), np.float32))
    (tmp_path / "r/ids.txt").write_text("b\na\n")
    PACK_DAMAGE[damage](tmp_path / "r")
    with pytest.raises(reprove.Refused):
        reprove.score(reprove.Run(str(tmp_path)), "r", READING, {"a": 1, "b": 1})


def run_script(*arguments: object) -> subprocess.CompletedProcess[str]:
    """As a stranger runs it: without site-packages, elsewhere."""
    return subprocess.run(
        [sys.executable, "-I", "-S", str(SCRIPT), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )


@pytest.fixture(scope="module")
def copied(
    ported: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[Path, bytes]]:
    """A copy of the run directory, and what its files and those beside the original hold."""
    run = Path(shutil.copytree(ported, tmp_path_factory.mktemp("reprove") / "run"))
    beside = [ported.parent / name for name in ("labels.txt", "weights.pth")]
    files = [*beside, *(p for p in run.rglob("*") if p.is_file())]
    return run, {path: path.read_bytes() for path in files}


@pytest.fixture
def base(copied: tuple[Path, dict[Path, bytes]]) -> Iterator[Path]:
    """The copy, which is put back when the test has changed it."""
    run, before = copied
    yield run
    for path in run.rglob("*"):
        if path not in before and not path.is_dir():
            path.unlink()
    for path, content in before.items():
        if path.is_symlink() or not path.is_file() or path.read_bytes() != content:
            path.unlink(missing_ok=True)
            path.write_bytes(content)
    image_beside(run).unlink(missing_ok=True)


REPORT = "report/report.json"


def mend(base: Path) -> None:
    """Write every hash again that a sidecar or the report holds, as a careful forger would."""
    holders, is_stale = [*base.rglob("*.proof.json"), base / REPORT], True
    while is_stale:
        is_stale = False
        for holder in holders:
            data = json.loads(holder.read_bytes())
            groups = [*data.get("inputs", {}).values(), data.get("outputs", data.get("files"))]
            for record in (record for group in groups for record in group):
                content = (base / record["path"]).read_bytes()
                now = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
                is_stale |= now.items() - record.items() != set()
                record |= now
            holder.write_text(json.dumps(data))


Change = Callable[[Path], None]


def flip(name: str) -> Change:
    """One bit of a file's middle byte."""

    def change(base: Path) -> None:
        content = bytearray((base / name).read_bytes())
        content[len(content) // 2] ^= 1
        (base / name).write_bytes(content)

    return change


def text(name: str, old: str, new: str) -> Change:
    def change(base: Path) -> None:
        before = (base / name).read_text()
        assert old in before
        (base / name).write_text(before.replace(old, new, 1))

    return change


def edit(name: str, work: Callable[[Any], object]) -> Change:
    """Change the JSON of a file in place."""

    def change(base: Path) -> None:
        data = json.loads((base / name).read_bytes())
        work(data)
        (base / name).write_text(json.dumps(data))

    return change


def gone(name: str) -> Change:
    return lambda base: (base / name).unlink()


def added(name: str, like: str) -> Change:
    return lambda base: (base / name).write_bytes((base / like).read_bytes())


def swap(one: str, other: str) -> Change:
    def change(base: Path) -> None:
        a, b = (base / one).read_bytes(), (base / other).read_bytes()
        assert a != b
        (base / one).write_bytes(b)
        (base / other).write_bytes(a)

    return change


def outside(name: str, old: bytes, new: bytes) -> Change:
    """Change a file that the sidecars name outside the run directory."""

    def change(base: Path) -> None:
        records = json.loads((base / "compare.json.proof.json").read_bytes())["inputs"]
        path = Path(records["labels"][0]["path"]).with_name(name)
        assert old in path.read_bytes()
        path.write_bytes(path.read_bytes().replace(old, new, 1))

    return change


def image_beside(base: Path) -> Path:
    """Where a further image would stand."""
    records = json.loads((base / "prep.proof.json").read_bytes())["inputs"]["images"]
    return Path(records[0]["path"]).with_name("colour_99.JPEG")


def mended(*changes: Change) -> Change:
    def change(base: Path) -> None:
        several(*changes)(base)
        mend(base)

    return change


def several(*changes: Change) -> Change:
    def change(base: Path) -> None:
        for one in changes:
            one(base)

    return change


def figure(report: Any, name: str) -> Any:
    return next(f for f in report["figures"] if f["id"] == name)


def times_ten(perf: Any) -> None:
    """All blocks: a ratio of medians may well not move when its slowest block gets slower."""
    first = perf["measurements"][0]
    first["blocks"] = [[10 * s for s in block] for block in first["blocks"]]


def nudge(perf: Any) -> None:
    perf["ratios"][0]["ci95"][0] *= 1.01


def rate_up(proof: Any) -> None:
    proof["facts"]["end_to_end"]["images_per_second"] *= 2


class Case(NamedTuple):
    """A tampering. ``file``: what reprove must name. ``only``: the verifier that finds it, where
    the other knows less, and ``why``.
    """

    name: str
    change: Change
    file: str
    only: str = ""
    why: str = ""


ONE, OTHER = (f"ort/bs2/result/colour_0{i}_1.bin" for i in (0, 1))
INFER = "ort/bs2/result.proof.json"
CORPUS = [
    Case("a byte of a result", flip(ONE), ONE),
    Case("a byte of the model", flip("model.onnx"), "model.onnx"),
    Case("a byte of a page", flip("report/report.html"), "report/report.html"),
    Case("the last log", flip("logs/report.log"), "logs/report.log"),
    Case("two results exchanged", swap(ONE, OTHER), ONE),
    Case("two results exchanged, mended", mended(swap(ONE, OTHER)), "ort/bs2/outcomes.csv"),
    Case(
        "a bit of a result that moves no figure, mended",
        mended(flip(ONE)),
        "ort/bs2/result.json.proof.json",
    ),
    Case("a label", outside("labels.txt", b"JPEG 0", b"JPEG 1"), "labels.txt"),
    Case(
        "a label, mended",
        mended(outside("labels.txt", b"JPEG 0", b"JPEG 1")),
        "ort/bs2/result.json",
    ),
    Case("the weights", outside("weights.pth", b"PK", b"pK"), "weights.pth"),
    Case(
        "an accuracy, mended",
        mended(text("ort/bs2/result.json", '"90.0%"', '"95.0%"')),
        "ort/bs2/result.json",
    ),
    Case(
        "a row of a table, mended",
        mended(text("ort/bs2/outcomes.csv", "colour_00,0,0,1", "colour_00,0,0,2")),
        "ort/bs2/outcomes.csv",
    ),
    Case(
        "the hits of a sidecar, mended",
        mended(
            edit(
                "ort/bs2/result.json.proof.json",
                lambda p: p["facts"]["figures"].update(hits=[40, 40, 40]),
            )
        ),
        "ort/bs2/result.json.proof.json",
    ),
    Case(
        "a bound, mended",
        mended(edit("compare.json", lambda c: c.update(gate_bound_pp=5.9))),
        "compare.json",
    ),
    Case(
        "the paired table, mended",
        mended(edit("compare.json", lambda c: c.update(fixed=1, both_wrong=3))),
        "compare.json",
    ),
    Case(
        "a verdict, mended",
        mended(edit("compare.json", lambda c: c.update(verdict="FAIL"))),
        "compare.json",
    ),
    Case(
        "an invented flip, mended",
        mended(
            edit(
                "compare.json",
                lambda c: c.update(
                    worst_flips=[
                        {
                            "id": "x",
                            "label": 0,
                            "reference_predicted": 0,
                            "port_predicted": 1,
                            "reference_margin": 1.0,
                            "port_margin": -1.0,
                        }
                    ]
                ),
            )
        ),
        "compare.json",
        "verify",
        "the list of flips, which no gate uses, is not derived again",
    ),
    Case("raw seconds", edit("ort/perf.json", times_ten), "ort/perf.json"),
    Case("raw seconds, mended", mended(edit("ort/perf.json", times_ten)), "ort/perf.json"),
    Case(
        "a ratio, mended",
        mended(edit("ort/perf.json", lambda p: p["ratios"][0].update(ratio=9.0))),
        "ort/perf.json",
    ),
    Case("a ratio's interval, mended", mended(edit("ort/perf.json", nudge)), "ort/perf.json"),
    Case(
        "the clock's status, mended",
        mended(
            edit(
                "ort/perf.json",
                lambda p: p.update(status="unstable" if p["status"] == "ok" else "ok"),
            )
        ),
        "ort/perf.json",
    ),
    Case(
        "a doubt about the clock left out, mended",
        mended(
            edit(
                "ort/perf.json",
                lambda p: (
                    p["measurements"][0]["blocks"].sort(key=sum),
                    p["measurements"][0]["blocks"][-1].extend([9.0] * 40000),
                    p.update(reasons=[], status="ok"),
                ),
            )
        ),
        "ort/perf.json",
    ),
    Case(
        "wrong answers left out, mended",
        mended(
            edit(
                "ort/perf.json",
                lambda p: p["measurements"][0].update(answers={"ok": False, "reason": "NaN"}),
            )
        ),
        "ort/perf.json",
    ),
    Case(
        "NaN among the seconds, mended",
        mended(text("ort/perf.json", '"blocks":[[', '"blocks":[[NaN,')),
        "ort/perf.json",
    ),
    Case("seals emptied", edit(REPORT, lambda r: r.update(files=[])), "port.yaml"),
    Case(
        "a seal taken out, and its log edited",
        several(
            edit(
                REPORT,
                lambda r: r.update(files=[f for f in r["files"] if "topn_ort" not in f["path"]]),
            ),
            flip("logs/topn_ort.log"),
        ),
        "logs/topn_ort.log",
    ),
    Case(
        "a figure",
        edit(REPORT, lambda r: figure(r, "ort/bs2/top1").update(value=0.95)),
        REPORT,
    ),
    Case("a figure's unit", edit(REPORT, lambda r: r["figures"][-1].update(unit="s")), REPORT),
    Case(
        "a figure's interval",
        edit(REPORT, lambda r: figure(r, "ort/compare/difference_pp").update(ci95=[-1.0, 1.0])),
        REPORT,
    ),
    Case("a figure left out", edit(REPORT, lambda r: r["figures"].pop(3)), REPORT),
    Case(
        "a figure invented",
        edit(REPORT, lambda r: r["figures"].append(dict(r["figures"][3], id="ort/bs9/top1"))),
        REPORT,
    ),
    Case("the report's verdict", edit(REPORT, lambda r: r.update(verdict="FAIL")), REPORT),
    Case("a gate", edit(REPORT, lambda r: r["gates"][0].update(verdict="FAIL")), REPORT),
    Case("a gate left out", edit(REPORT, lambda r: r["gates"].pop()), REPORT),
    Case(
        "a gate's reason",
        edit(REPORT, lambda r: r["gates"][0].update(reason="99.99% against 90.00%")),
        REPORT,
    ),
    Case("an origin", edit(REPORT, lambda r: r["origins"][0].update(sha256="0" * 64)), REPORT),
    Case("a version", edit(REPORT, lambda r: r["versions"].update(torch="9.9")), REPORT),
    Case(
        "the host, mended",
        mended(edit("ort/perf.json.proof.json", lambda p: p["environment"].update(cpus="96"))),
        REPORT,
    ),
    Case(
        "a rehearsal hidden",
        edit(REPORT, lambda r: r.update(simulated=True)),
        REPORT,
    ),
    Case("a sample removed", gone("prep/colour_07.bin"), "prep/colour_07.bin"),
    Case("a result removed", gone(ONE), ONE),
    Case("a sample added", added("prep/colour_99.bin", "prep/colour_03.bin"), "prep/colour_99.bin"),
    Case("a result added", added("ort/bs2/result/z_1.bin", ONE), "ort/bs2/result/z_1.bin"),
    Case("a sidecar removed", gone("prep.proof.json"), "prep.proof.json"),
    Case("the report removed", gone(REPORT), REPORT),
    Case("a page removed", gone("report/README.md"), "report/README.md"),
    Case("the margin", text("port.yaml", "margin_pp: 20.0", "margin_pp: 30.0"), "port.yaml"),
    Case("the settings' schema", text("port.yaml", "port/1", "port/2"), "port.yaml"),
    Case(
        "the card's copy, mended",
        mended(text("report/card.yaml", "92.5", "99.5")),
        "report/card.yaml",
    ),
    Case("a report that is no JSON", text(REPORT, "{", "["), REPORT),
    Case("a sidecar that is no JSON", text(INFER, "{", "["), INFER),
    Case(
        "a comparison that is a list, mended",
        mended(lambda b: (b / "compare.json").write_text("[]")),
        "compare.json",
    ),
    Case(
        "a model exchanged after the inference",
        several(
            flip("model.onnx"),
            lambda base: edit(
                "model.onnx.proof.json",
                lambda p: p["outputs"][0].update(
                    sha256=hashlib.sha256((base / "model.onnx").read_bytes()).hexdigest()
                ),
            )(base),
        ),
        "ort/bs2/result",
    ),
    Case(
        "an output that climbs out",
        edit("prep.proof.json", lambda p: p["outputs"][0].update(path="../../../etc/hostname")),
        "prep.proof.json",
    ),
    Case(
        "an input that never ends",
        edit(
            "prep.proof.json", lambda p: p["inputs"]["images"][0].update(path="/dev/zero", size=0)
        ),
        "/dev/zero",
    ),
    Case(
        "ratios of an earlier version, mended",
        mended(edit("ort/perf.json.proof.json", lambda p: p.update(revision=1))),
        "ort/perf.json",
    ),
    Case("a rate of a sidecar, mended", mended(edit(INFER, rate_up)), INFER),
    Case(
        "a page, mended",
        mended(text("report/README.md", "90.00 %", "99.00 %")),
        "report/README.md",
        "verify",
        "only a verifier that renders the pages can tell",
    ),
    Case(
        "the model's name",
        edit(REPORT, lambda r: r.update(model="other")),
        REPORT,
        "verify",
        "the name stands in the card, which is YAML",
    ),
    Case(
        "an image added beside those that were read",
        lambda base: image_beside(base).write_bytes(b"x"),
        "colour_99.JPEG",
        "verify",
        "it reads no folder outside the run directory, only the files that a sidecar names",
    ),
    Case(
        "the last digit of a bound, mended",
        mended(edit("compare.json", lambda c: c.update(gate_bound_pp=c["gate_bound_pp"] + 1e-13))),
        "compare.json",
        "verify",
        "another way of computing rounds otherwise: nine digits are compared",
    ),
    Case(
        "a rate and its figure, mended",
        mended(
            edit(INFER, rate_up),
            edit(
                REPORT,
                lambda r: figure(r, "ort/bs2/result/end_to_end").update(
                    value=2 * figure(r, "ort/bs2/result/end_to_end")["value"]
                ),
            ),
        ),
        INFER,
    ),
    Case(
        "a name twice in one object, mended",
        mended(text("compare.json", '"fixed"', '"fixed": 5, "fixed"')),
        "compare.json",
    ),
]


def plots_as_they_are(data: RunData) -> dict[str, bytes]:
    return {p.stem: p.read_bytes() for p in (data.root / data.files.plots).glob("*.svg")}


@pytest.mark.parametrize("case", CORPUS, ids=lambda case: case.name)
def test_both_verifiers_agree_on_a_tampered_directory(
    base: Path, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No case is about a plot, so none is drawn: that would be half of the time."""
    monkeypatch.setattr(rerender, "draw", plots_as_they_are)
    case.change(base)
    found = {file for file, _ in reprove.prove(str(base)).changed}
    assert bool(found) is (case.only != "verify"), found
    assert (verify(base).verdict != "UNCHANGED") is (case.only != "reprove")
    assert bool(case.only) is bool(case.why)
    if found:
        assert any(file.endswith(case.file) for file in found), found


def test_a_good_directory_passes_both_and_what_was_read_outside_is_said(ported: Path) -> None:
    done = run_script(ported)
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.splitlines()[-1]
    count = len(json.loads((ported / REPORT).read_bytes())["figures"])
    assert last.startswith("reprove: all that is stated agrees")
    assert f"{count} figures" in last
    assert f"40 files in '{ported.parent / 'images'}'" in done.stdout
    assert "not proved prep: 'preprocess' was not run again" in done.stdout
    assert verify(ported).verdict == "UNCHANGED"


def test_a_copy_on_another_host_passes(base: Path, ported: Path) -> None:
    hidden = ported.parent.with_name(ported.parent.name + "-away")
    ported.parent.rename(hidden)
    try:
        run = reprove.prove(str(base))
    finally:
        hidden.rename(ported.parent)
    assert not run.changed
    said = " ".join(what for _, what in run.unproved)
    assert "not on this host" in said
    assert "the labels were taken from a table" in said


def test_findings_and_refusals_have_their_exit_codes(base: Path, tmp_path: Path) -> None:
    flip(ONE)(base)
    (base / "report" / "bad\x1b[31m").write_text("x")
    done = run_script(base)
    assert done.returncode == 1
    assert f"CHANGED {ONE}: " in done.stdout
    assert "\x1b" not in done.stdout
    assert "Traceback" not in done.stderr
    for nothing in (tmp_path, tmp_path / "absent"):
        done = run_script(nothing)
        assert done.returncode == 2
        assert "no run directory" in done.stderr
    assert "example:" in run_script("--help").stdout


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def link_out(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/hostname")


@pytest.mark.parametrize("name", [ONE, INFER, "compare.json", REPORT, "port.yaml"])
@pytest.mark.parametrize(
    "spoil",
    [
        pipe,
        link_out,
        lambda path: path.write_bytes(b"\xff" * 40),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text("[" * 100_000),
        lambda path: path.write_text('{"schema": "portproof.proof/1", "inputs": {"a": 3}}'),
        lambda path: path.write_text('{"schema": "portproof.report/1", "figures": [[]]}'),
    ],
    ids=["pipe", "link", "no-text", "empty", "deep", "odd-sidecar", "odd-report"],
)
def test_hostile_files_are_findings_and_no_crash(
    base: Path, name: str, spoil: Callable[[Path], object]
) -> None:
    spoil(base / name)
    found = {file for file, _ in reprove.prove(str(base)).changed}
    assert name in found


def test_any_value_of_any_json_may_be_of_another_kind(base: Path) -> None:
    """Each value near the top of a JSON file becomes null, text, a list: never a traceback."""
    (base / "ort/perf.json").write_text("{}")  # the raw seconds would take most of the time
    odds = itertools.cycle([None, "x", [], [None], {"path": 3}, -1, [{}], [[]]])
    for name in ("compare.json", INFER, REPORT, "ort/bs2/result.json"):
        content = (base / name).read_bytes()
        for key in json.loads(content):
            for odd in itertools.islice(odds, 1):
                (base / name).write_text(json.dumps(json.loads(content) | {key: odd}))
                reprove.prove(str(base))
        (base / name).write_bytes(content)


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("ort", True),
        ("310p", True),
        ("310p_aoe/perf/310p_aoe/bs1/call/rate", True),
        ("t4/compare/samples", False),
        ("ort/bs16/top1", True),
        ("ort/bs8/top1", False),
        ("t4/bs8/result/end_to_end", True),
        ("conversion/spread", True),
    ],
)
def test_results_of_other_targets_and_batches_may_be_left_over(name: str, asked: bool) -> None:
    settings = {"targets": "[cpu, 310p]", "batches": "[1, 8, 16, 32]"}
    assert reprove.is_asked(settings, name) is asked


def test_it_shares_no_code_with_the_package() -> None:
    tree = ast.parse(SCRIPT.read_text())
    names = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
        )
    }
    assert names <= set(sys.stdlib_module_names)


def test_its_statistics_are_those_of_the_package_and_of_scipy() -> None:
    from scipy import stats

    for n, fixed, broken in (
        *((40, 0, 0), (40, 1, 0), (40, 0, 40), (600, 3, 9), (50_000, 120, 131)),
        *((1, 0, 1), (7, 3, 4), (300, 0, 5), (1000.5, 1.25, 3.5)),
    ):
        for z, confidence in ((reprove.Z95, 0.95), (reprove.Z975, 0.975)):
            want = score_bound(broken, fixed, n, confidence)
            assert reprove.tango_upper(broken, fixed, n, z) == pytest.approx(want, rel=1e-9)
    for fixed, broken in ((0, 0), (0, 5), (6, 16), (300, 250)):
        assert reprove.mcnemar(fixed, broken) == pytest.approx(mcnemar_p(fixed, broken))
    for hits, n in ((0, 40), (36, 40), (40, 40), (49_000, 50_000)):
        assert reprove.wilson(hits, n) == pytest.approx(list(wilson(hits, n)))
        assert reprove.wilson(hits, n, reprove.Z95)[0] == pytest.approx(wilson_lower(hits, n))
    for df in (1, 2, 3, 4, 9, 10, 49):
        assert reprove.t_quantile(0.95, df) == pytest.approx(stats.t.ppf(0.975, df), rel=1e-9)


def test_its_outcomes_are_those_of_the_package_with_ties() -> None:
    noise = np.random.default_rng(3)
    logits = noise.integers(0, 4, (300, 5)).astype(np.float32)
    label = noise.integers(0, 5, 300)
    predicted, rank, margin, tied, _ = judge(logits.copy(), label)
    for i, row in enumerate(logits.tolist()):
        want = (predicted[i], rank[i], margin[i], tied[i])
        assert reprove.outcome(row, int(label[i])) == want


@pytest.mark.parametrize(
    ("classes", "dtype", "n", "noise", "missing"),
    [
        (5, "float32", 120, 0.4, False),
        (5, "float16", 120, 0.9, False),
        (1001, "float32", 60, 0.3, False),
        (3, "float32", 300, 0.25, True),
        (4, "float32", 40, 30.0, False),
    ],
)
def test_comparisons_with_flips_come_out_the_same(
    tmp_path: Path, classes: int, dtype: str, n: int, noise: float, missing: bool
) -> None:
    """The package's own figures of results with flips, ties, a background class, missing samples,
    and a reference no better than chance.
    """
    random = np.random.default_rng(classes)
    shift = classes == 1001
    label = random.integers(0, classes - shift, n)
    sides = {}
    for side in ("eager", "ort"):
        logits = np.round(random.normal(0, noise, (n, classes)), 1)
        logits[np.arange(n), label + shift] += 1
        sides[side] = logits.astype(dtype)
    (tmp_path / "port.yaml").write_text("schema: portproof.port/1\n")
    labels = tmp_path / "labels.txt"
    labels.write_text("".join(f"s{i}.JPEG {c}\n" for i, c in enumerate(label)))
    reading = Reading(dtype=dtype, allow_missing=missing)
    for side, logits in sides.items():
        folder = tmp_path / side / "bs1" / "result"
        folder.mkdir(parents=True)
        for i, row in enumerate(logits):
            if not (missing and i == 3 and side == "ort"):
                row.tofile(folder / f"s{i}_1.bin")
        work = Work("infer", folder, inputs={}, parameters={}, packages=())
        work.begin()
        work.finish(sorted(folder.iterdir()))
        topn(
            folder,
            labels,
            reading,
            out=folder.with_name("result.json"),
            outcomes=folder.with_name("outcomes.csv"),
        )
    tables = [tmp_path / side / "bs1" / "outcomes.csv" for side in sides]
    compared = compare(*tables, labels, 1.0, allow_missing=missing, out=tmp_path / "compare.json")
    assert compared.broken + compared.fixed > 0
    run = reprove.prove(str(tmp_path))
    assert {file for file, _ in run.changed} == {REPORT}, run.changed
    assert run.compared["ort"]["broken"] == compared.broken
