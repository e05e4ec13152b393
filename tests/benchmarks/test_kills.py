"""The tormentors: they pass a stage that keeps its word, and catch one that does not."""

from __future__ import annotations

import importlib
import random
import resource
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
try:
    hazards: Any = importlib.import_module("hazards")
    kills: Any = importlib.import_module("kills")
    kills_world: Any = importlib.import_module("kills_world")
finally:
    del sys.path[0]

#: Writes 40 files as a stage should: drafts that are renamed, what is there is kept.
_GOOD = """
import os, sys, time
os.makedirs("out", exist_ok=True)
for i in range(40):
    if not os.path.exists(f"out/{i}"):
        with open(f"out/.{i}", "w") as f:
            f.write(str(i) * 100)
            f.flush()
            time.sleep(0.01)
        os.replace(f"out/.{i}", f"out/{i}")
"""
_INTERRUPTED = """
import signal
signal.signal(signal.SIGINT, lambda *_: os._exit(130))
"""


def learned(tmp_path: Path, code: str) -> Any:
    world = tmp_path / "world"
    world.mkdir()
    script = tmp_path / "stage.py"
    script.write_text(code.replace("import os, sys, time", "import os, sys, time" + _INTERRUPTED))
    return kills_world.learn(
        kills_world.Stage("writer", (f"-u {script}",)), world, tmp_path / "known"
    )


def test_a_stage_that_goes_on_is_whole(tmp_path: Path) -> None:
    known = learned(tmp_path, _GOOD)
    row = kills.torment(known, 4, random.Random(1), tmp_path / "tormented")
    assert (sum(row.kills.values()), row.problems) == (4, [])
    assert set(row.kills) == {"SIGKILL", "SIGINT"}


def caught(tmp_path: Path, code: str) -> str:
    known = learned(tmp_path, code)
    row = kills.torment(known, 8, random.Random(1), tmp_path / "tormented")
    return "; ".join(row.problems)


def test_a_file_that_grows_under_its_final_name_is_caught(tmp_path: Path) -> None:
    code = _GOOD.replace("out/.{i}", "out/{i}").replace("os.replace", "#")
    code = code.replace("str(i) * 100", "str(i)")
    code = code.replace("f.flush()", "f.flush(); time.sleep(0.02); f.write(str(i) * 99)")
    assert "half written" in caught(tmp_path, code)


def test_a_draft_that_nobody_takes_up_again_is_caught(tmp_path: Path) -> None:
    assert "left behind" in caught(tmp_path, _GOOD.replace("out/.{i}", "out/.{i}-{os.getpid()}"))


def test_other_bytes_at_the_end_are_caught(tmp_path: Path) -> None:
    known = learned(tmp_path, _GOOD)
    (tmp_path / "stage.py").write_text(_GOOD.replace("* 100", "* 99"))
    kills_world.copied(known.before, tmp_path / "again")
    kills.finish(known, tmp_path / "again", kills.Killed("writer"))
    assert "'out/1' has other bytes" in kills.different(known, tmp_path / "again")


def test_the_time_of_a_stage_ends_its_kills(tmp_path: Path) -> None:
    known = learned(tmp_path, _GOOD)
    row = kills.torment(known, 4, random.Random(1), tmp_path / "tormented", until=0.0)
    assert (row.kills.total(), row.chains) == (0, 0)


@pytest.mark.parametrize(
    ("asked", "learnt", "run"),
    [
        ("port", ["port"], []),
        ("parcel, page", ["page", "parcel"], ["port"]),
        ("topn", ["topn"], ["export", "preprocess", "info", "infer"]),
        ("int", ["int8"], ["export", "preprocess", "info"]),
        ("", [stage.name for stage in kills_world.STAGES], []),
    ],
)
def test_only_what_a_stage_needs_runs_before_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, asked: str, learnt: list[str], run: list[str]
) -> None:
    ran: list[str] = []
    monkeypatch.setattr(kills_world, "learn", lambda stage, *_: stage.name)
    monkeypatch.setattr(kills_world, "_timed", lambda stage, _: ran.append(stage.name))
    assert list(kills_world.learnt(asked, tmp_path, tmp_path)) == learnt
    assert ran == run


def test_a_stage_that_there_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="there is no stage 'bnech'"):
        next(kills_world.learnt("bnech", tmp_path, tmp_path))


def test_a_hazard_is_survived_or_told_in_a_sentence(tmp_path: Path) -> None:
    known = learned(tmp_path, _GOOD)
    few = hazards.limited(resource.RLIMIT_FSIZE, 50)
    row = hazards.endure(known, "small files", few, tmp_path / "endured")
    assert row.code == 1 and any("exit code 1" in p for p in row.problems)
    row = hazards.endure(known, "clock", hazards.clock_back, tmp_path / "endured")
    assert (row.code, row.problems) == (0, [])


def test_a_stale_lock_that_no_stage_took_is_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").touch()
    with hazards.stale_locks(tmp_path):
        assert "4194303" in (tmp_path / "run" / ".lock").read_text()
        (tmp_path / ".prep.lock").write_text("taken")
    assert (tmp_path / "run" / ".lock").read_text() == ""
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [".prep.lock"]


@pytest.mark.parametrize(
    ("code", "said", "ended"),
    [
        (0, "", True),
        (2, "portproof: error: 'x' is there already: name another", True),
        (2, "portproof: error: no such file", False),
        (70, "'x' is there already", False),
    ],
)
def test_a_stage_that_refuses_what_is_there_is_over(code: int, said: str, ended: bool) -> None:
    stage = kills_world.Stage("baseline", ("baseline",), once=True)
    assert stage.ended(code, said) == ended
    assert not kills_world.Stage("other", ("other",)).ended(2, said)


def test_a_file_that_is_replaced_deep_down_is_a_first_write(tmp_path: Path) -> None:
    (tmp_path / "world" / "run").mkdir(parents=True)
    (tmp_path / "world" / "run" / "report").write_text("old")
    (tmp_path / "stage.py").write_text(
        "import os, time\n"
        "open('run/.new', 'w').close()\nos.replace('run/.new', 'run/report')\n"
        "time.sleep(1.5)\n"
    )
    stage = kills_world.Stage("report", (f"-u {tmp_path / 'stage.py'}",))
    writes_s, ends_s = kills_world._timed(stage, tmp_path / "world")
    assert writes_s < ends_s
