"""``infer/run.py --format pack``: the rows of one file an output, and what an interruption leaves."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from portproof.core.errors import InputError
from portproof.infer.offline.inference import run
from portproof.infer.offline.write_packed import PackedResults, check_ids
from portproof.packed.results import open_results
from portproof.proof.work import Work

Stage = Callable[..., subprocess.CompletedProcess[str]]
OUTPUTS = ["class", "top"]


@pytest.fixture
def here(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The tiny model's folder as the working directory, for calls in this process."""
    monkeypatch.chdir(tiny.folder)
    return tiny


@pytest.mark.parametrize("batch", [1, 4, 16])
def test_rows_are_what_single_files_hold(here: Any, batch: int) -> None:
    run("model.onnx", "prep.info", "files", batch=batch)
    proof = run("model.onnx", "prep.info", "pack", batch=batch, form="pack")
    assert sorted(os.listdir("pack")) == ["ids.txt", "output1.npy", "output2.npy"]
    assert {r.path for r in proof.outputs} == {f"pack/{name}" for name in os.listdir("pack")}
    assert Path("pack/ids.txt").read_text() == "".join(f"{name}\n" for name in here.data)
    ids, rows = open_results("pack")
    for k, kind in ((1, "<f4"), (2, "<i8")):
        array = np.load(f"pack/output{k}.npy")
        assert array.dtype == np.dtype(kind) and array.flags.c_contiguous
        assert rows[k].count == len(ids) == len(array) == 11
        for name, row in zip(ids, array, strict=True):
            assert row.tobytes() == Path(f"files/{name}_{k}.bin").read_bytes()


def test_it_is_an_option_of_the_command_and_done_once(tiny: Any, stage: Stage) -> None:
    words = ["model.onnx", "--info", "prep.info", "--out", "result", "--format", "pack"]
    assert stage("infer/run.py", *words, cwd=tiny.folder).returncode == 0
    before = {p: p.stat().st_mtime_ns for p in (tiny.folder / "result").iterdir()}
    again = stage("infer/run.py", *words, cwd=tiny.folder)
    assert again.returncode == 0 and "up to date" in again.stderr
    assert before == {p: p.stat().st_mtime_ns for p in (tiny.folder / "result").iterdir()}


@pytest.mark.parametrize("forms", [("bin", "pack"), ("pack", "bin"), ("npy", "pack")])
@pytest.mark.parametrize("is_whole", [True, False])
def test_a_folder_never_holds_two_forms(
    here: Any, forms: tuple[str, str], is_whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the first run came to its end or was interrupted in its third batch."""
    first, then = forms
    if is_whole:
        run("model.onnx", "prep.info", "result", batch=2, form=first)
    else:
        interrupt(
            monkeypatch, lambda: run("model.onnx", "prep.info", "result", batch=2, form=first)
        )
    run("model.onnx", "prep.info", "result", batch=2, form=then)
    run("model.onnx", "prep.info", "fresh", batch=2, form=then)
    assert content("result") == content("fresh")


def test_rows_that_changed_since_are_made_again(
    here: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run("model.onnx", "prep.info", "fresh", batch=2, form="pack")
    for damage in (b"\xff", b""):
        interrupt(
            monkeypatch, lambda: run("model.onnx", "prep.info", "result", batch=2, form="pack")
        )
        partial = Path("result/.output1.npy.partial")
        raw = partial.read_bytes()
        partial.write_bytes(raw[:150] + damage + raw[151:])
        capsys.readouterr()
        proof = run("model.onnx", "prep.info", "result", batch=2, form="pack")
        assert "does not hold the rows" in capsys.readouterr().err
        assert proof.facts["continued_from"] == 0
        assert content("result") == content("fresh")
        Path("result.proof.json").unlink()
        for path in Path("result").iterdir():
            path.unlink()


def test_rows_behind_the_last_note_are_cut_off_and_the_rest_continues(
    here: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(monkeypatch, lambda: run("model.onnx", "prep.info", "result", batch=2, form="pack"))
    with open("result/.output1.npy.partial", "ab") as file:
        file.write(b"more than all rows that follow" * 99)
    proof = run("model.onnx", "prep.info", "result", batch=2, form="pack")
    run("model.onnx", "prep.info", "fresh", batch=2, form="pack")
    assert proof.facts["continued_from"] == 4
    assert content("result") == content("fresh")


def test_changed_inputs_are_found_between_an_interruption_and_the_next_run(
    here: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(monkeypatch, lambda: run("model.onnx", "prep.info", "result", batch=2, form="pack"))
    np.zeros(12, np.float32).tofile("prep/s0.bin")
    proof = run("model.onnx", "prep.info", "result", batch=2, form="pack")
    assert proof.facts["continued_from"] == 0
    assert not np.load("result/output1.npy")[0].any()


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ([np.zeros((2, 5), "<f4"), np.zeros((2,), "<i4")], "int32.*int64"),
        ([np.zeros((2, 6), "<f4"), np.zeros((2,), "<i8")], r"\[6\].*\[5\]"),
        ([np.zeros((2, 5), "<c8"), np.zeros((2,), "<i8")], "complex64"),
    ],
)
def test_rows_of_another_kind_are_refused(here: Any, arrays: list[Any], words: str) -> None:
    work = Work("infer", Path("result"), inputs={}, parameters={})
    with PackedResults(work, {}, OUTPUTS, ["a", "b", "c", "d"]) as results:
        results.write(["a", "b"], [np.zeros((2, 5), "<f4"), np.zeros((2,), "<i8")])
        with pytest.raises(InputError, match=words):
            results.write(["c", "d"], arrays)


@pytest.mark.parametrize("name", ["a\nb", "a\r", "a\0", "a\udcff"])
def test_ids_that_have_no_line_are_refused(name: str) -> None:
    check_ids(["a", "é", "二"])
    with pytest.raises(InputError, match="cannot hold: rename"):
        check_ids(["a", name])


@pytest.mark.parametrize("form", ["bin", "pack"])
def test_killed_at_every_moment_and_continued_gives_the_same_bytes(
    tiny: Any, root: Path, form: str
) -> None:
    """See killed.py: SIGKILL between any two changes of the disk, and at random times."""
    tiny.save_samples({name: tiny.data[name] for name in list(tiny.data)[:5]})
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("killed.py")), form],
        cwd=tiny.folder,
        env={**os.environ, "PYTHONPATH": str(root / "src")},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 30


def interrupt(monkeypatch: pytest.MonkeyPatch, work: Callable[[], object]) -> None:
    """Do work that ends with an error in its third batch."""
    from portproof.infer.backends.ort import OrtSession

    calls, real = [], OrtSession.run

    def failing(self: OrtSession, feeds: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(self, feeds)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(OrtSession, "run", failing)
        work()


def content(folder: str) -> dict[str, bytes]:
    """Names and bytes."""
    return {p.name: p.read_bytes() for p in sorted(Path(folder).iterdir())}
