"""What needs no cluster: the plan, the cut, the file store, the facts of a whole, the lock."""

from __future__ import annotations

import argparse
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portproof.commands.port import parser
from portproof.core.errors import InputError
from portproof.fleet.file_store import MESSAGE_BYTES, Content, Piece, pieces_of
from portproof.fleet.gather import joined_facts, path_here
from portproof.fleet.host_lock import host_locked
from portproof.fleet.needed import Hashes, cut, is_cut, part_of, spans
from portproof.fleet.node import Answer, Job, Node
from portproof.fleet.plan_file import claims_of, port_options, read_plan
from portproof.fleet.versions import refuse_others
from portproof.manifest import Sample, read_info, write_info
from portproof.rundir.layout import RunDir
from portproof.rundir.settings import Settings, write_settings
from portproof.rundir.step import Step, words

PORT = "port: {targets: [310p], model: card.yaml, weights: w.pth, images: i, labels: l}\n"


def plan_in(folder: Path, text: str) -> Path:
    path = folder / "plan.yaml"
    path.write_text(text)
    return path


def test_names_that_yaml_takes_for_numbers(tmp_path: Path) -> None:
    path = plan_in(tmp_path, "port: {targets: [310, T4]}\nwhere: {310: {310: 4}, t4: {GPU: 1}}\n")
    assert claims_of(read_plan(path), path) == {"310": {"310": 4}, "t4": {"GPU": 1}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PORT + "where: {}\n", "line 2"),
        (PORT + "where: {t4: {GPU: 1}}\n", "no target of this port; it may name 310p, export"),
        (PORT + "where: {310p: {}}\n", "where.310p claims nothing"),
        (PORT + "where: {310p: {NPU: 1}, 710: {NPU: 1}}\n", "names '310p' twice"),
        (PORT + "where: {310p: {NPU: 0.5}}\n", "Expected `int`"),
        (PORT + "where: {310p: {NPU: 1}}\nschema: portproof.fleet/9\n", "has the schema"),
        (PORT + "where: {310p: {NPU: 1}}\nshard: 2\n", "unknown field `shard`"),
        ("port: nowhere/port.yaml\nwhere: {310p: {NPU: 1}}\n", "does not exist"),
        ("port: {targets: [9000]}\nwhere: {eager: {CPU: 1}}\n", "9000"),
    ],
)
def test_a_wrong_plan_is_refused_in_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said.replace("[", r"\[")):
        read_plan(plan_in(tmp_path, text))


def test_paths_are_relative_to_the_plan(tmp_path: Path) -> None:
    (tmp_path / "card.yaml").touch()
    plan = read_plan(plan_in(tmp_path, PORT + "where: {310p: {NPU: 1}}\n"))
    chosen = argparse.Namespace(out=tmp_path / "run", workers=None, quiet=True, log_json=False)
    asked = port_options(plan, tmp_path, chosen)
    assert asked.model == str(tmp_path / "card.yaml")
    assert (asked.weights, asked.images) == (str(tmp_path / "w.pth"), str(tmp_path / "i"))
    assert asked.run_dir == tmp_path / "run"


def test_the_settings_of_a_run_directory_are_a_port(tmp_path: Path) -> None:
    settings = Settings(
        targets=("310p",),
        model="resnet50",
        weights="/w.pth",
        images="images",
        labels="/l.txt",
        batches=(1, 4),
        gate="all",
        rehearse=True,
        packed=True,
    )
    (tmp_path / "run").mkdir()
    write_settings(tmp_path / "run", settings)
    path = plan_in(tmp_path, "port: run/port.yaml\nwhere: {310p: {NPU: 1}}\n")
    chosen = argparse.Namespace(out=tmp_path / "new", workers=2, quiet=True, log_json=False)
    asked = port_options(read_plan(path), tmp_path, chosen)
    assert (asked.target, asked.batch, asked.gate) == (["310p"], [1, 4], "all")
    assert (asked.weights, asked.images) == ("/w.pth", str(tmp_path / "run" / "images"))
    assert (asked.model, asked.rehearse, asked.packed) == ("resnet50", True, True)
    assert asked.runner is None


def test_a_plan_has_every_option_of_a_port(tmp_path: Path) -> None:
    plan = read_plan(plan_in(tmp_path, PORT + "where: {310p: {NPU: 1}}\n"))
    chosen = argparse.Namespace(out=tmp_path / "run", workers=None, quiet=True, log_json=False)
    asked = vars(port_options(plan, tmp_path, chosen))
    assert sorted(vars(parser().parse_args([])).keys() - asked.keys()) == []


@given(st.integers(1, 500), st.integers(1, 70), st.integers(1, 64))
def test_parts_hold_whole_batches_and_every_sample_once(total: int, count: int, each: int) -> None:
    found = spans(total, count, each)
    assert [i for span in found for i in span] == list(range(total))
    assert all(span.start % each == 0 and len(span) for span in found)
    assert len(found) <= count
    whole = [-(-len(span) // each) for span in found]
    assert max(whole) - min(whole) <= 1


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """A run directory with five samples, one of them outside of it."""
    root, outside = tmp_path / "run", tmp_path / "outside"
    (root / "prep").mkdir(parents=True)
    outside.mkdir()
    files = [f"prep/s{i}.bin" for i in range(4)] + [str(outside / "t.bin")]
    for number, name in enumerate(files):
        (root / name).write_bytes(bytes([number]))
    write_info(root / "prep.info", [Sample(Path(f).stem, (f,), 1, 1) for f in files])
    (root / "model.onnx").write_bytes(b"model")
    (root / "prep.proof.json").write_text("{}")
    (tmp_path / "w.pth").write_bytes(b"weights")
    weights = str(tmp_path / "w.pth")
    settings = Settings(
        targets=("cpu",), model="none", weights=weights, labels="none", batches=(2,)
    )
    write_settings(root, settings)
    return RunDir(root, settings)


def infer(*more: object) -> Step:
    start = words("model.onnx", "--info", "prep.info", "--out", "ort/bs2/result", *more)
    reads = ("model.onnx", "prep.info")
    return Step("infer ort", "infer", (*start, "--batch", "2"), reads, ("ort/bs2/result",))


def test_a_part_has_its_samples_and_a_list_of_them(run: RunDir, tmp_path: Path) -> None:
    parts = cut(run, infer(), 2, tmp_path / "scratch")
    assert [part.samples for part in parts] == [2, 3]
    there = f".outside{tmp_path}/outside/t.bin"
    assert {n for n in parts[0].files if n.endswith(".bin")} == {"prep/s0.bin", "prep/s1.bin"}
    assert {n for n in parts[1].files if n.endswith(".bin")} == {
        "prep/s2.bin",
        "prep/s3.bin",
        there,
    }
    listed = read_info(parts[1].files["prep.info"])
    assert [s.files[0] for s in listed] == ["prep/s2.bin", "prep/s3.bin", there]
    for part in parts:
        assert {"port.yaml", "model.onnx", "prep.proof.json"} <= part.files.keys()


@pytest.mark.parametrize("option", ["--devices", "--runner"])
def test_what_several_devices_or_a_tool_do_is_not_cut(
    run: RunDir, tmp_path: Path, option: str
) -> None:
    step = infer(option, "x")
    assert not is_cut(run, step)
    assert len(cut(run, step, 4, tmp_path / "scratch")) == 1


def test_files_from_outside_have_a_place_in_the_folder(run: RunDir, tmp_path: Path) -> None:
    weights = str(tmp_path / "w.pth")
    subject, out = f"eager=eager:{weights}", ("--out", "ort/perf.json")
    step = Step("bench ort", "bench", words(subject, *out), (weights,), ("ort/perf.json",))
    part = part_of(run, step, tmp_path / "scratch")
    assert part.argv == ("-m", "portproof", "bench", f"eager=eager:.outside{weights}", *out)
    assert part.files[f".outside{weights}"] == Path(weights)
    back = path_here(" ".join(part.argv), "/jobs/k", run.root)
    assert back == f"-m portproof bench {subject} --out ort/perf.json"


def test_a_store_takes_pieces_and_refuses_other_bytes(tmp_path: Path) -> None:
    big, empty = tmp_path / "big", tmp_path / "empty"
    big.write_bytes(bytes(range(256)) * (MESSAGE_BYTES // 256) + b"end")
    empty.touch()
    hashes, store = Hashes(), Content(tmp_path / "store")
    files = {hashes.of(path): path for path in (big, empty)}
    messages = list(pieces_of(files.items()))
    assert len(messages) == 2
    assert all(sum(len(p.data) for p in m) <= MESSAGE_BYTES for m in messages)
    assert store.lacks(files) == list(files)
    for message in messages:
        store.take(message)
    assert store.lacks(files) == []
    for sha256, path in files.items():
        store.lay(sha256, tmp_path / "job" / path.name)
        assert (tmp_path / "job" / path.name).read_bytes() == path.read_bytes()
    store.settle()
    assert not list((tmp_path / "store").glob("arriving*"))
    with pytest.raises(InputError, match="changed while it was sent"):
        store.take([Piece("0" * 64, 0, 3, b"abc")])
    assert store.lacks(["0" * 64])


def test_a_node_runs_a_step_in_a_folder_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTPROOF_FLEET_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("OMP_NUM_THREADS", "7")  # as Ray sets it; the driver's counts
    given = tmp_path / "given"
    given.write_text("given")
    sha256, node = Hashes().of(given), Node()
    assert node.lacks([sha256]) == [sha256]
    assert node.take([Piece(sha256, 0, 5, b"given")]).code == 0
    code = (
        "import os; open('made', 'w').write(str(os.environ.get('OMP_NUM_THREADS'))); print('out')"
    )
    job = Job(
        "k", ("-c", f"{code}; import sys; print('said', file=sys.stderr)"), {"in/a": sha256}, {}
    )
    answer = node.perform(job)
    assert (answer.code, answer.output, answer.problem) == (0, "out\n", "")
    assert [(m.path, m.size) for m in answer.made] == [("made", 4)]
    assert node.read("k", [("made", 0, 2), ("made", 2, 9)]) == [b"No", b"ne"]
    assert node.said()[0] == "said\n"
    assert node.lacks([answer.made[0].sha256]) == []  # the next step here need not be sent it
    node.forget("k")
    assert not (tmp_path / "store" / "jobs" / "k").exists()


def test_a_node_says_that_its_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTPROOF_FLEET_STORE", str(tmp_path))

    def full(self: Content, pieces: Any) -> None:
        raise OSError(28, "No space left on device", "x")

    monkeypatch.setattr(Content, "take", full)
    answer: Answer = Node().take([])
    assert answer.code == 3
    assert answer.problem.startswith("the disk is full ('x'): free some space")


def test_the_facts_of_a_whole() -> None:
    one = {"samples": 3, "samples_with_nan": 0, "skipped": ["a"], "core": "c", "end_to_end": 1}
    other = {"samples": 2, "samples_with_nan": None, "skipped": ["b"], "core": "c"}
    assert joined_facts([("h", one), ("g", other)]) == {
        "samples": 5,
        "samples_with_nan": None,
        "skipped": ["a", "b"],
        "core": "c",
    }
    with pytest.raises(InputError, match="h and g do not make the same bits: core is 'c'"):
        joined_facts([("h", one), ("g", other | {"core": "d"})])


@pytest.mark.parametrize(
    ("there", "said"),
    [
        (
            {"numpy": "2"},
            "portproof is not installed for the Python of Ray on h: install version 1",
        ),
        ({"portproof": "2"}, "h has portproof 2, the driver has 1"),
        ({"portproof": "1", "numpy": "3"}, "h has numpy 3, the driver has 2"),
    ],
)
def test_other_versions_are_refused(there: dict[str, str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        refuse_others("h", there, {"portproof": "1", "numpy": "2"}, ("numpy", "torch"))


def test_a_package_of_one_host_alone_decides_nothing() -> None:
    here = {"portproof": "1", "numpy": "2"}
    refuse_others("h", {"portproof": "1", "torch": "9"}, here, ("numpy", "torch"))


def test_nothing_runs_beside_a_bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    order, waits = [], threading.Event()

    def bench() -> None:
        with host_locked(True, waits.set):
            order.append("bench")

    with host_locked(False, lambda: None), host_locked(False, lambda: None):
        thread = threading.Thread(target=bench)
        thread.start()
        assert waits.wait(10)
        order.append("steps")
    thread.join(10)
    assert order == ["steps", "bench"]


def test_who_waits_for_a_lock_in_vain_gives_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    alone, beside = host_locked(True, lambda: None), host_locked(False, lambda: None, lambda: True)
    with alone, pytest.raises(KeyboardInterrupt), beside:
        pytest.fail("two hold the lock")
