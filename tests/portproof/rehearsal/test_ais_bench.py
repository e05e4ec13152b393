"""The simulated ais_bench against the consoles, listings and summaries of the real one, with a tiny
model in place of resnet18.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

Program = Callable[..., subprocess.CompletedProcess[str]]
Tool = Callable[..., subprocess.CompletedProcess[str]]
TOOL = ("-m", "portproof.rehearsal.programs.ais_bench")


@pytest.fixture
def tool(program: Program, tmp_path: Path) -> Tool:
    """Run ais_bench where ``bins`` holds six samples of the tiny model, and ``x``, ``y`` those of
    the model with two inputs.
    """
    rng = np.random.default_rng(0)
    for index in range(6):
        write(
            tmp_path / "bins" / f"img{index + 8}.bin", rng.normal(size=(3, 4, 4)).astype(np.float32)
        )
        write(tmp_path / "x" / f"{index}.bin", rng.normal(size=4).astype(np.float32))
        write(tmp_path / "y" / f"{index}.bin", np.array([index], np.int64))

    def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
        return program(*TOOL, *arguments, **options)

    return run


def write(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True)
    array.tofile(path)


def normalised(text: str) -> list[str]:
    """A console without what differs between any two runs: times, the tool's own files, the
    simulator's own lines, and the tiny model's sizes.
    """
    bars = sorted(set(re.findall(r"(Inference[\w ]*Processing[\w ]*): 100%.*?\| (\d+/\d+) ", text)))
    text = re.sub(
        r"Inference[\w ]*Processing[\w ]*: [^\n\r]*?it/s\]|Inference[\w ]*Processing[\w ]*:"
        r" [^\n\r]*?s/it\]",
        "",
        text.replace("\x1b[A", ""),
    )
    text = re.sub(r"\d+\.\d+(e-?\d+)?", "<number>", text)
    rows = [
        re.sub(r"\b(602112|192)\b", "<sample>", r)
        for r in text.replace("\r", "\n").split("\n")
        if r.strip()
    ]
    rows = [
        re.sub(r"\b(2408448|768)\b", "<batch4>", r)
        for r in rows
        if not r.startswith(("  File", "    ", "[EMU]", "[REHEARSAL]"))
    ]
    return [str(bars), *(re.sub(r"models/|resnet18_", "", r) for r in rows)]


REAL = {
    "pure_bs1": ("--model", "models/bs1.om"),
    "pure_bs1_loop5": ("--model", "models/bs1.om", "--loop", 5),
    "bs4_run_mode_full": (
        "--model",
        "models/bs4.om",
        "--input",
        "bins6",
        "--output",
        "out",
        "--output_dirname",
        "mfull",
        "--run_mode",
        "full",
        "--display_all_summary",
        1,
    ),
    "dymbatch_4": (
        "--model",
        "models/dymbatch.om",
        "--dymBatch",
        4,
        "--input",
        "bins6",
        "--output",
        "out",
        "--output_dirname",
        "dymb4",
    ),
    "dymbatch_not_set": ("--model", "models/dymbatch.om", "--loop", 2),
    "dymshape_without_outputsize": ("--model", "models/dymshape.om", "--dymShape", "image:2,3,4,4"),
    "missing_input": (
        "--model",
        "models/bs1.om",
        "--input",
        "nothing_here",
        "--output",
        "out",
        "--output_dirname",
        "nothing",
    ),
    "multi_input_one_dir": (
        "--model",
        "models/multi.om",
        "--input",
        "x",
        "--output",
        "out",
        "--output_dirname",
        "multi1",
    ),
    "multi_input_bin": (
        "--model",
        "models/multi.om",
        "--input",
        "x,y",
        "--output",
        "out",
        "--output_dirname",
        "multi",
        "--outfmt",
        "BIN",
    ),
    "no_warmup": ("--model", "models/bs1.om", "--input", "bins6", "--warmup_count", 0),
    "corrupt_model": ("--model", "garbage.om", "--input", "bins6"),
    "profiler_and_dump": (
        "--model",
        "models/bs1.om",
        "--dump",
        1,
        "--profiler",
        1,
        "--output",
        "out",
    ),
    "missing_acl_json": ("--model", "models/bs1.om", "--acl_json_path", "none.json"),
}


@pytest.mark.parametrize("name", REAL)
def test_its_console_is_that_of_the_real_one(
    tool: Tool, tmp_path: Path, shared: Path, name: str
) -> None:
    (tmp_path / "bins").rename(tmp_path / "bins6")
    (tmp_path / "garbage.om").write_bytes(b"no model")
    sample = shared / "samples" / "ais_bench" / name
    done = tool(*REAL[name], buffered=True)
    assert done.returncode == int((sample / "exit_code.txt").read_text())
    assert normalised(done.stdout) == normalised((sample / "console.txt").read_text())


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("two_devices", ("--input", "bins6", "--output", "out", "--output_dirname", "twodev")),
        ("two_devices_pure", ("--loop", 3)),
    ],
)
def test_several_devices_say_and_write_what_the_real_one_does(
    tool: Tool, tmp_path: Path, shared: Path, name: str, options: tuple[object, ...]
) -> None:
    (tmp_path / "bins").rename(tmp_path / "bins6")
    done = tool(
        "--model",
        "models/bs1.om",
        "--device",
        "0,1",
        *options,
        buffered=True,
        env={"PORTPROOF_REHEARSAL_DEVICES": "2"},
    )
    sample = shared / "samples" / "ais_bench" / name
    assert done.returncode == int((sample / "exit_code.txt").read_text())

    def lines(text: str) -> list[str]:
        """The devices race: which line comes first, how many have arrived, and where the bars and
        the library's lines cut into others.
        """
        rows = [
            re.sub(r"qsize:\d(?! result)", "qsize:<n>", row.lstrip("\n"))
            for row in normalised(text)[1:]
        ]
        told = [re.sub(r"^.*(\[INFO\])", r"\1", row) for row in rows if "loop inference" not in row]
        ours = [
            row
            for row in told
            if not any(
                word in row
                for word in (
                    "acl init",
                    "open device",
                    "load model",
                    "description",
                    "unload",
                    "end to",
                )
            )
        ]
        return sorted({row for row in ours if row.startswith(("[INFO]", "i:"))})

    assert lines(done.stdout) == lines((sample / "console.txt").read_text())
    if "--output" in options:
        listed = {
            str(p.relative_to(tmp_path)) for p in (tmp_path / "out").rglob("*") if p.is_file()
        }
        theirs = {
            line.split("  ")[0]
            for line in (sample / "listing.txt").read_text().splitlines()
            if "bytes" in line
        }
        assert {p for p in listed if p.endswith(".json")} == {
            p for p in theirs if p.endswith(".json")
        }
        assert (
            len([p for p in listed if "device0/" in p])
            == len([p for p in theirs if "device0/" in p])
            == 3
        )


def test_a_device_that_fails_is_told_by_the_exit_code(tool: Tool) -> None:
    done = tool("--model", "models/bs1.om", "--device", "0,1", "--loop", 2)
    assert done.returncode == 1
    assert (
        "[ERROR] subprocess run failed error_callback:[107001][Error code unknown] " in done.stdout
    )
    assert "multidevice run end qsize:2 result:1" in done.stdout


def test_every_shape_of_a_range_is_run(tool: Tool, tmp_path: Path) -> None:
    from portproof.logs.read import read

    done = tool(
        "--model",
        "models/dymshape.om",
        "--dymShape_range",
        "image:1~3~2,3,4,4",
        "--outputSize",
        1000,
    )
    assert done.returncode == 0
    assert "[INFO] run_count:2 success_count:2 avg_throughput:" in done.stdout
    assert re.search(
        r"\[INFO\] 1 dymshape:image:\d,3,4,4  result:OK throughput:[\d.]+\n", done.stdout
    )
    (tmp_path / "console.log").write_text(done.stdout)
    assert {run.batch for run in read(tmp_path / "console.log")} >= {1, 3}


def test_the_profiler_goes_on_without_msprof(tool: Tool, tmp_path: Path) -> None:
    done = tool(
        "--model",
        "models/bs1.om",
        "--input",
        "bins",
        "--output",
        "out",
        "--output_dirname",
        "d",
        "--profiler",
        1,
    )
    assert done.returncode == 0
    assert (
        "[INFO] profiler mode with input change warmup_count to 0\n[INFO] find no msprof continue"
        " use acl.json mode\n" in done.stdout
    )
    assert (
        json.loads((tmp_path / "out" / "acl.json").read_text())["profiler"]["output"]
        == "out/profiler"
    )
    assert len(list((tmp_path / "out" / "d").iterdir())) == 6


def test_the_order_of_files_is_natural_and_blind_to_case(tool: Tool, tmp_path: Path) -> None:
    for path, name in zip(
        sorted((tmp_path / "bins").iterdir()),
        ("B2.bin", "b10.bin", "a.bin", "C.bin", "b1.bin", "B.BIN"),
        strict=True,
    ):
        path.rename(path.with_name(name))
    assert (
        tool(
            "--model",
            "models/bs1.om",
            "--input",
            "bins",
            "--output",
            "out",
            "--output_dirname",
            "d",
        ).returncode
        == 0
    )
    info = json.loads((tmp_path / "out" / "d_summary.json").read_text())["filesinfo"]
    assert [Path(info[str(k)]["infiles"][0]).name for k in range(6)] == [
        "a.bin",
        "b1.bin",
        "B2.bin",
        "b10.bin",
        "B.BIN",
        "C.bin",
    ]


def test_its_files_and_summary_are_those_of_the_real_one(
    tool: Tool, tmp_path: Path, shared: Path
) -> None:
    sample = shared / "samples" / "ais_bench" / "multi_input_txt"
    for folder in ("x", "y"):
        for index, content in enumerate(inputs_of_the_real_run()[folder]):
            content.tofile(tmp_path / folder / f"{index}.bin")
    done = tool(
        "--model",
        "models/multi.om",
        "--input",
        "x,y",
        "--output",
        "out",
        "--output_dirname",
        "multit",
        "--outfmt",
        "TXT",
    )
    assert done.returncode == 0, done.stdout
    listed = {str(p.relative_to(tmp_path)) for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert listed == {
        line.split("  ")[0]
        for line in (sample / "listing.txt").read_text().splitlines()
        if "bytes" in line
    }
    theirs = json.loads((sample / "multit_summary.json").read_text())
    text = (tmp_path / "out" / "multit_summary.json").read_text()
    ours = json.loads(text)
    assert not text.endswith("\n")
    assert list(ours) == list(theirs)
    assert ours["filesinfo"] == theirs["filesinfo"]
    assert ours["args"][3:] == theirs["args"][3:]
    for name in ("NPU_compute_time", "H2D_latency", "D2H_latency"):
        assert list(ours[name]) == list(theirs[name])
        assert ours[name]["count"] == theirs[name]["count"]
    assert len(ours["npu_compute_time_list"]) == len(theirs["npu_compute_time_list"])
    assert ours["throughput"] == pytest.approx(1000 * 2 / ours["NPU_compute_time"]["mean"])
    assert (tmp_path / "out" / "multit" / "0_3.txt").read_text() == "0 0 0 0 \n"


def inputs_of_the_real_run() -> dict[str, list[np.ndarray]]:
    rng = np.random.default_rng(0)
    return {
        "x": [rng.normal(size=4).astype(np.float32) for _ in range(6)],
        "y": [np.array([i], np.int64) for i in range(6)],
    }


def test_a_short_last_batch_is_padded_with_its_first_file_and_not_written(
    tool: Tool, tmp_path: Path
) -> None:
    done = tool(
        "--model",
        "models/bs4.om",
        "--input",
        "bins",
        "--output",
        "out",
        "--output_dirname",
        "d",
        "--outfmt",
        "NPY",
    )
    assert "filesperbatch:4 runcount:2" in done.stdout
    names = sorted(p.name for p in (tmp_path / "out" / "d").iterdir())
    assert names == sorted(f"img{i + 8}_0.npy" for i in range(6))
    assert np.load(tmp_path / "out" / "d" / "img8_0.npy").shape == (1, 10)
    summary = json.loads((tmp_path / "out" / "d_summary.json").read_text())
    assert [summary["filesinfo"][k]["infiles"] for k in ("0", "1", "2")] == [
        ["bins/img8.bin"],
        ["bins/img9.bin"],
        ["bins/img10.bin"],
    ]
    assert summary["NPU_compute_time"]["count"] == 2


def test_dotted_names_collide_and_two_results_are_lost(tool: Tool, tmp_path: Path) -> None:
    for index, path in enumerate(sorted((tmp_path / "bins").iterdir())):
        path.rename(path.with_name(f"img.{index}.bin"))
    assert (
        tool(
            "--model",
            "models/bs1.om",
            "--input",
            "bins",
            "--output",
            "out",
            "--output_dirname",
            "d",
        ).returncode
        == 0
    )
    assert [p.name for p in (tmp_path / "out" / "d").iterdir()] == ["img_0.bin"]


def test_unequal_folders_use_another_samples_data(tool: Tool, tmp_path: Path) -> None:
    (tmp_path / "y" / "5.bin").unlink()
    assert (
        tool(
            "--model",
            "models/multi.om",
            "--input",
            "x,y",
            "--output",
            "out",
            "--output_dirname",
            "d",
        ).returncode
        == 0
    )
    info = json.loads((tmp_path / "out" / "d_summary.json").read_text())["filesinfo"]
    assert info["5"]["infiles"] == ["x/5.bin", "padding_infer_fake_file"]
    assert np.fromfile(tmp_path / "out" / "d" / "5_2.bin", np.int64).tolist() == [2 * 4]


def test_a_later_file_of_another_size_leaves_the_earlier_results_and_no_summary(
    tool: Tool, tmp_path: Path
) -> None:
    (tmp_path / "bins" / "img10.bin").write_bytes(b"short")
    done = tool(
        "--model", "models/bs1.om", "--input", "bins", "--output", "out", "--output_dirname", "d"
    )
    assert done.returncode == 1
    assert "[ERROR] Check i:0 name:image in size:5 needsize:192 not match" in done.stdout
    assert sorted(p.name for p in (tmp_path / "out" / "d").iterdir()) == [
        "img8_0.bin",
        "img9_0.bin",
    ]
    assert not (tmp_path / "out" / "d_summary.json").exists()
    done = tool(
        "--model", "models/bs4.om", "--input", "bins", "--output", "out", "--output_dirname", "e"
    )
    assert "[ERROR] ndata size:581 not match 768" in done.stdout


def test_the_batchsize_option_only_changes_the_throughput(tool: Tool) -> None:
    out = tool("--model", "models/bs1.om", "--batchsize", 8).stdout
    found = re.search(r"batchsize.mean\(8\)/NPU_compute_time.mean\(([\d.e-]+)\): ([\d.]+)", out)
    assert found
    assert float(found[2]) == pytest.approx(8000 / float(found[1]))


def test_random_bytes_make_floats_that_are_none(tool: Tool, tmp_path: Path) -> None:
    assert (
        tool(
            "--model",
            "models/bs4.om",
            "--pure_data_type",
            "random",
            "--output",
            "out",
            "--output_dirname",
            "d",
        ).returncode
        == 0
    )
    assert [p.name for p in (tmp_path / "out" / "d").iterdir()] == ["pure_infer_data_0.bin"]


def test_a_cut_log_has_no_throughput_and_no_summary(tool: Tool, tmp_path: Path) -> None:
    done = tool(
        "--model",
        "models/bs1.om",
        "--input",
        "bins",
        "--output",
        "out",
        "--output_dirname",
        "d",
        env={"PORTPROOF_REHEARSAL_FAULT": "truncated-log"},
    )
    assert done.returncode == 0
    assert "throughput" not in done.stdout
    assert not (tmp_path / "out" / "d_summary.json").exists()


def test_our_reader_of_its_logs_reads_it(tool: Tool, tmp_path: Path) -> None:
    from portproof.logs.read import read

    done = tool(
        "--model", "models/bs4.om", "--input", "bins", "--output", "out", "--output_dirname", "d"
    )
    (tmp_path / "console.log").write_text(done.stdout)
    (run,) = read(tmp_path / "console.log")
    assert (run.family, run.status, run.batch, run.simulated) == ("ais_bench", "ok", 4, True)
    (summary,) = read(tmp_path / "out" / "d_summary.json")
    assert summary.simulated
    figure = run.figure("throughput")
    assert figure is not None
    assert figure.value == pytest.approx(
        json.loads((tmp_path / "out" / "d_summary.json").read_text())["throughput"]
    )


#: Seen by running the real tool's Python (Ascend/tools) over the simulated library: what it is
#: given, its exit status, and a line that it prints.
SEEN = {
    "empty folder": ("bs1.om --input empty", 1, "empty of input args not find valid file,valid"),
    "nothing named": ("multi.om --input x,empty", 1, "empty of input args not find valid file"),
    "two files too many": (
        "multi.om --input x/0.bin,x/1.bin,y/0.bin",
        1,
        "[ERROR] fileslist:3 intensor:2 not match",
    ),
    "a file too few": ("multi.om --input x/0.bin", 1, "range() arg 3 must not be zero"),
    "files without input": ("bs4.om --run_mode files", 1, "not support pure infer"),
    "files of npy": ("bs4.om --run_mode files --input npy", 1, "not support npy file:npy/a.npy"),
    "a shape of a static model": ("bs1.om --dymShape image:1,3,4,4", 0, "batchsize.mean(1)"),
    "another shape of it": ("bs1.om --dymShape image:2,3,4,4", 1, "get model batchsize:2"),
    "a shape of one of two inputs": (
        "multi.om --dymShape x:2,4",
        1,
        "[ERROR] om has 2 input, but dymShape parametet give 1",
    ),
    "a range of two inputs": (
        "multi.om --dymShape_range x:2,4;y:2,1",
        0,
        "[INFO] run_count:1 success_count:0 avg_throughput:nan",
    ),
    "devices without a folder": ("bs1.om --device 0,1 --input no", 1, "error no not file or dir"),
    "devices and an empty folder": (
        "bs1.om --device 0,1 --input empty",
        1,
        "empty of input args not find valid file",
    ),
    "a device above 255": ("bs1.om --device 300", 2, "device:300 is invalid. valid value range"),
    "one of two above 255": ("bs1.om --device 0,300", 2, "300 of device:0,300 is invalid"),
    "no number": ("bs1.om --device x", 2, "invalid check_device_range_valid value: 'x'"),
    "no boolean": ("bs1.om --debug maybe", 2, "Boolean value expected true, 1, false, 0 with"),
    "a warm-up below 0": ("bs1.om --warmup_count -1", 2, "-1 is an invalid nonnegative int value"),
    "an axis below 0": ("bs1.om --output_batchsize_axis -1", 2, "invalid nonnegative int value"),
}


@pytest.mark.parametrize("name", SEEN)
def test_mistakes_end_as_those_of_the_real_one(tool: Tool, tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "npy").mkdir()
    np.save(tmp_path / "npy" / "a.npy", np.zeros((1, 3, 4, 4), np.float32))
    words, code, line = SEEN[name]
    done = tool("--model", *f"models/{words}".split(), env={"PORTPROOF_REHEARSAL_DEVICES": "2"})
    assert (done.returncode, line in done.stdout) == (code, True), done.stdout


@pytest.mark.slow
def test_fewer_files_than_devices_fail_on_the_devices_without_one(
    tool: Tool, tmp_path: Path
) -> None:
    """The others wait for eleven seconds for those that never come."""
    write(tmp_path / "one" / "a.bin", np.zeros((3, 4, 4), np.float32))
    done = tool(
        *("--model", "models/bs1.om", "--device", "0,1", "--input", "one"),
        env={"PORTPROOF_REHEARSAL_DEVICES": "2"},
    )
    assert done.returncode == 1
    assert "[ERROR] Invalid args.   of --input is invalid" in done.stdout
    assert "[WARNING] subprocess_0 qsize:1 time:11 s elapsed" in done.stdout
    assert "[INFO] multidevice run end qsize:2 result:1" in done.stdout


def test_full_mode_prints_what_the_others_print(tool: Tool) -> None:
    common = ("--model", "models/bs4.om", "--input", "bins", "--run_mode", "full")
    assert "H2D_latency" not in tool(*common).stdout
    assert "H2D_latency" in tool(*common, "--display_all_summary", 1).stdout
