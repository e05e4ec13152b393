"""Top-n from a result folder: the figures, the fixed form, and everything that is refused."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import top_k_accuracy_score

from portproof.core.errors import InputError
from portproof.metrics.accuracy.label_file import read_labels
from portproof.metrics.accuracy.results import list_results
from portproof.metrics.accuracy.row_counts import count_true
from portproof.metrics.accuracy.score import Reading, judge, score
from portproof.metrics.accuracy.text_floats import parse_texts
from portproof.metrics.accuracy.topn import TopN, topn
from portproof.metrics.paired.compare import compare
from portproof.proof.sidecar import read_proof
from portproof.proof.work import Work

Stage = Callable[..., object]

# The line printed in the source document, section 6.1, batch 1 (RegNetY-1.6GF on Ascend 310).
PUBLISHED = (
    '{"title": "Overall statistical evaluation", "value": [{"key": "Number of images", "value":'
    ' "50000"}, {"key": "Number of classes", "value": "1000"}, {"key": "Top1 accuracy", "value":'
    ' "77.85%"}, {"key": "Top2 accuracy", "value": "87.5%"}, {"key": "Top3 accuracy", "value":'
    ' "90.77%"}, {"key": "Top4 accuracy", "value": "92.58%"}, {"key": "Top5 accuracy", "value":'
    ' "93.72%"}]}'
)


def write_bin(path: Path, row: np.ndarray) -> None:
    row.astype("<f4").tofile(path)


def write_half(path: Path, row: np.ndarray) -> None:
    row.astype("<f2").tofile(path)


def write_ais_bench_text(path: Path, row: np.ndarray) -> None:
    path.write_text("".join(f"{v:f} " for v in row) + "\n", encoding="ascii")


def write_two_lines(path: Path, row: np.ndarray) -> None:
    half = len(row) // 2
    path.write_text(
        "\n".join(" ".join(f"{v:.9g}" for v in part) for part in (row[:half], row[half:])),
        encoding="ascii",
    )


def write_npy(path: Path, row: np.ndarray) -> None:
    np.save(path, row.reshape(1, -1).astype(np.float32))


@pytest.fixture
def data(tmp_path: Path) -> tuple[Path, Path, np.ndarray, np.ndarray]:
    """An empty result folder, a label file, logits of 300 samples and 12 classes, and the
    labels.
    """
    generator = np.random.default_rng(7)
    logits = generator.standard_normal((300, 12)).astype(np.float32)
    labels = np.where(
        generator.random(300) < 0.6, logits.argmax(axis=1), generator.integers(0, 12, 300)
    )
    (tmp_path / "result").mkdir()
    path = tmp_path / "val_label.txt"
    path.write_text(
        "".join(f"img_{i}.JPEG {label}\n" for i, label in enumerate(labels)), encoding="ascii"
    )
    return tmp_path / "result", path, logits, labels


def fill(
    folder: Path,
    logits: np.ndarray,
    ending: str = "1.bin",
    write: Callable[[Path, np.ndarray], None] = write_bin,
) -> None:
    for i, row in enumerate(logits):
        write(folder / f"img_{i}_{ending}", row)


@pytest.mark.parametrize(
    ("ending", "write", "dtype"),
    [
        ("1.bin", write_bin, "float32"),
        ("0.bin", write_bin, "float32"),
        ("1.bin", write_half, "float16"),
        ("0.txt", write_ais_bench_text, "float32"),
        ("1.txt", write_two_lines, "float32"),
        ("0.npy", write_npy, "float32"),
    ],
)
def test_against_scikit_learn(
    data: tuple[Path, Path, np.ndarray, np.ndarray], ending: str, write: Stage, dtype: str
) -> None:
    result, labels, logits, truth = data
    fill(result, logits, ending, write)  # type: ignore[arg-type]
    figures = topn(result, labels, Reading(dtype=dtype))
    expected = [
        top_k_accuracy_score(truth, logits.astype(dtype), k=k, labels=range(12))
        for k in range(1, 6)
    ]
    assert figures.accuracy == pytest.approx(expected)
    assert (figures.samples, figures.classes, figures.ties, figures.missing) == (300, 12, 0, [])


def test_result_json_is_the_published_line() -> None:
    figures = TopN(
        samples=50000, classes=1000, hits=[38925, 43750, 45385, 46290, 46860], ties=0, missing=[]
    )
    assert figures.to_json() == PUBLISHED


def test_the_published_line_is_the_source_documents(shared: Path) -> None:
    assert (
        PUBLISHED in (shared / "sources/regnety_ascend.md").read_text(encoding="utf-8").splitlines()
    )


def test_the_command_writes_result_json_outcomes_and_sidecar(
    data: tuple[Path, Path, np.ndarray, np.ndarray], tmp_path: Path, stage: Stage
) -> None:
    result, labels, logits, truth = data
    fill(result, logits)
    arguments = (
        "metrics/topn.py",
        result,
        labels,
        "--n",
        3,
        "--out",
        tmp_path / "result.json",
        "--outcomes",
        tmp_path / "outcomes.csv",
    )
    first = stage(*arguments)
    assert first.returncode == 0, first.stderr  # type: ignore[attr-defined]
    written = (tmp_path / "result.json").read_bytes()
    form = json.loads(written)
    assert [pair["key"] for pair in form["value"]] == [
        "Number of images",
        "Number of classes",
        "Top1 accuracy",
        "Top2 accuracy",
        "Top3 accuracy",
    ]
    right = int(np.count_nonzero(logits.argmax(axis=1) == truth))
    assert form["value"][2]["value"] == f"{round(right / 3, 2)}%"
    with open(tmp_path / "outcomes.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    order = np.argsort(-logits, axis=1)
    for i, row in enumerate(rows):
        assert (row["id"], int(row["label"]), int(row["predicted"])) == (
            f"img_{i}",
            truth[i],
            order[i, 0],
        )
        assert int(row["rank"]) == 1 + int(np.flatnonzero(order[i] == truth[i])[0])
        others = np.delete(logits[i], truth[i])
        assert float(row["margin"]) == pytest.approx(
            float(logits[i, truth[i]]) - float(others.max()), rel=1e-6, abs=1e-9
        )
    again = stage(*arguments)
    assert "up to date" in again.stderr and again.stdout == first.stdout  # type: ignore[attr-defined]
    write_bin(result / "img_5_1.bin", logits[6])
    changed = stage(*arguments)
    assert "running because" in changed.stderr  # type: ignore[attr-defined]


def test_a_background_class_shifts_the_labels(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    logits = np.zeros((4, 1001), np.float32)
    for i, label in enumerate((0, 999, 17, 17)):
        logits[i, label + 1] = 1
    logits[3, 0] = 2  # the background wins
    fill(tmp_path / "r", logits)
    (tmp_path / "l.txt").write_text(
        "img_0.JPEG 0\nimg_1.JPEG 999\nimg_2 17\nimg_3.JPEG 17\n", encoding="ascii"
    )
    scored = score(tmp_path / "r", tmp_path / "l.txt")
    assert scored.outcomes.label.tolist() == [1, 1000, 18, 18]
    assert scored.outcomes.predicted.tolist() == [1, 1000, 18, 0]
    assert scored.outcomes.rank.tolist() == [1, 1, 1, 2]


def test_ties_count_against_the_model_and_are_reported(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    fill(
        tmp_path / "r",
        np.array(
            [[1, 3, 3, 0], [3, 3, 3, 0], [0, 1, 2, 3], [5, 5, 1, 1], [0, 0, 0, 0]], np.float32
        ),
    )
    (tmp_path / "l.txt").write_text(
        "img_0 1\nimg_1 2\nimg_2 3\nimg_3 3\nimg_4 0\n", encoding="ascii"
    )
    figures = topn(tmp_path / "r", tmp_path / "l.txt")
    scored = score(tmp_path / "r", tmp_path / "l.txt").outcomes
    assert scored.rank.tolist() == [2, 3, 1, 4, 4]
    assert scored.predicted.tolist() == [1, 0, 3, 0, 0]
    assert scored.margin.tolist() == [0, 0, 1, -4, 0]
    assert figures.ties == 4
    assert figures.hits == [1, 2, 3, 5], "as many ranks as there are classes"
    assert "ties with the label, which count against the model: 4" in figures.to_text()


def test_a_text_result_is_read_whole_and_exactly(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r/a_0.txt").write_text(
        "0.100000 0.300000 \n-0.200000 12.000001 \n", encoding="ascii"
    )
    ((_, numbers),) = list_results(tmp_path / "r").read(["a"], 4)
    assert numbers.tolist() == [[0.1, 0.3, -0.2, 12.000001]]


def test_real_text_dumps_of_ais_bench(shared: Path, tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    dumps = sorted((shared / "samples/ais_bench/bs16_txt_64").glob("example_n*_0.txt"))
    for dump in dumps:
        (tmp_path / "r" / dump.name).write_bytes(dump.read_bytes())
    expected = [np.array(dump.read_text(encoding="ascii").split(), dtype=float) for dump in dumps]
    lines = [
        f"{dump.stem.removesuffix('_0')}.JPEG {row.argmax()}\n"
        for dump, row in zip(dumps, expected, strict=True)
    ]
    (tmp_path / "l.txt").write_text("".join(lines), encoding="ascii")
    figures = topn(tmp_path / "r", tmp_path / "l.txt")
    assert (figures.samples, figures.classes, figures.hits[0], figures.ties) == (3, 1000, 3, 0)
    ids = [dump.stem.removesuffix("_0") for dump in dumps]
    ((_, rows),) = list_results(tmp_path / "r").read(ids, 1000)
    np.testing.assert_array_equal(rows, expected)


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(
        arrays(np.float64, st.integers(1, 6), elements=st.floats(-1e9, 1e9)), min_size=1, max_size=4
    ),
    spelling=st.sampled_from(["%f", "%.1f", "%.8f", "%.3f", "%.9f", "%g", "%e", "%d", "%r"]),
    blank=st.sampled_from([" ", "  ", "\n", " \r\n", "\t"]),
)
def test_text_is_read_as_python_reads_it(rows: list[np.ndarray], spelling: str, blank: str) -> None:
    texts = ["".join(spelling % float(v) + blank for v in row).encode() for row in rows]
    expected = [[float(word) for word in text.split()] for text in texts]
    assert [row.tolist() for row in parse_texts(texts, [""] * len(texts))] == expected


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="0123456789.- \n+enaif,_x", max_size=30))
def test_text_that_is_not_numbers_is_refused(text: str) -> None:
    try:
        expected = [float(word.replace("_", "no number")) for word in text.split()]
    except ValueError:
        with pytest.raises(InputError, match=r"'a\.txt'"):
            parse_texts([text.encode()], ["a.txt"])
    else:
        np.testing.assert_array_equal(parse_texts([text.encode()], ["a.txt"])[0], expected)


@settings(max_examples=100, deadline=None)
@given(
    arrays(np.float32, (5, 7), elements=st.sampled_from([-np.inf, -1.0, 0.0, 1.0, 2.0, np.inf])),
    st.lists(st.integers(0, 6), min_size=5, max_size=5),
)
def test_ranks_by_definition(logits: np.ndarray, label: list[int]) -> None:
    predicted, rank, margin, tied, peak = judge(logits.copy(), np.array(label))
    for row, own, p, r, m, t, peak_of in zip(
        logits.tolist(), label, predicted, rank, margin, tied, peak, strict=True
    ):
        others = row[:own] + row[own + 1 :]
        assert p == row.index(max(row))
        assert r == 1 + sum(v >= row[own] for v in others)
        assert t == (row[own] in others)
        assert peak_of == max(row)
        assert m == (0 if row[own] == max(others) else row[own] - max(others))


@pytest.mark.parametrize("columns", [2, 8, 1000, 1001, 2040, 2048, 8160, 10_000])
def test_what_is_true_is_counted_row_by_row(columns: int) -> None:
    """More than a byte can count in every column of words, and in another order of memory."""
    mask = np.random.default_rng(columns).random((5, columns)) < 0.9
    mask[0], mask[1] = True, False
    for stored in (mask, np.asfortranarray(mask), mask[::-1][::-1]):
        assert count_true(stored).tolist() == [sum(row) for row in mask.tolist()]


def break_nothing(_: Path) -> None:
    """The folder as it is."""


def remove_two(folder: Path) -> None:
    (folder / "img_3_1.bin").unlink()
    (folder / "img_9_1.bin").unlink()


def add_unknown(folder: Path) -> None:
    write_bin(folder / "stranger_1.bin", np.zeros(12))


def add_text_twin(folder: Path) -> None:
    write_ais_bench_text(folder / "img_4_1.txt", np.zeros(12))


def add_nan(folder: Path) -> None:
    for i in (7, 8):
        write_bin(folder / f"img_{i}_1.bin", np.full(12, np.nan))


def overflow(folder: Path) -> None:
    write_bin(folder / "img_7_1.bin", np.full(12, np.inf))
    write_bin(folder / "img_8_1.bin", np.where(np.arange(12) == 3, np.inf, 0))
    write_bin(folder / "img_9_1.bin", np.full(12, -np.inf))


def shorten(folder: Path) -> None:
    (folder / "img_7_1.bin").write_bytes(b"\0" * 40)


def lengthen(folder: Path) -> None:
    (folder / "img_7_1.bin").write_bytes(b"\0" * 52)


def add_second_output(folder: Path) -> None:
    write_bin(folder / "img_0_2.bin", np.zeros(12))


def add_summary(folder: Path) -> None:
    (folder / "sumary.json").write_text("{}", encoding="ascii")


def add_hidden(folder: Path) -> None:
    (folder / ".img_0_1.bin.tmp").write_bytes(b"")


def add_folder(folder: Path) -> None:
    (folder / "2023_05_01-10_00_00").mkdir()


def folder_for_file(folder: Path) -> None:
    (folder / "img_7_1.bin").unlink()
    (folder / "img_7_1.bin").mkdir()


@pytest.mark.parametrize(
    ("damage", "arguments", "said"),
    [
        (remove_two, (), ["2 of 300 samples", "img_3, img_9", "--allow-missing"]),
        (add_unknown, (), ["1 of 301 results have no label", "stranger"]),
        (add_text_twin, (), ["300 .bin and 1 .txt", "1 samples", "img_4"]),
        (add_nan, (), ["2 of 300 results hold NaN", "img_7_1.bin, img_8_1.bin"]),
        (overflow, (), ["3 of 300 results hold +inf or only -inf", "img_7_1.bin", "overflowed"]),
        (
            shorten,
            (),
            ["1 of 300 results", "48 bytes (12 classes of float32)", "40 bytes in 1 (img_7_1.bin)"],
        ),
        (lengthen, (), ["1 of 300 results", "52 bytes in 1 (img_7_1.bin)"]),
        (add_second_output, (), ["several outputs (1, 2)", "--output"]),
        (break_nothing, ("--output", 3), ["no result of output 3, only of 1"]),
        (add_summary, (), ["1 files or folders that are not results", "sumary.json"]),
        (add_hidden, (), [".img_0_1.bin.tmp"]),
        (add_folder, (), ["2023_05_01-10_00_00"]),
        (folder_for_file, (), ["Is a directory", "img_7_1.bin"]),
        (
            break_nothing,
            ("--classes", 1000),
            ["300 of 300 results", "4000 bytes (1000 classes of float32)", "48 bytes in 300"],
        ),
        (break_nothing, ("--out", "result/result.json"), ["would be among the results"]),
    ],
)
def test_a_damaged_folder_is_refused_in_one_sentence(
    data: tuple[Path, Path, np.ndarray, np.ndarray],
    stage: Stage,
    damage: Callable[[Path], None],
    arguments: tuple[object, ...],
    said: list[str],
) -> None:
    result, labels, logits, _ = data
    fill(result, logits)
    damage(result)
    done = stage("metrics/topn.py", result, labels, *arguments, "--quiet", cwd=result.parent)
    assert done.returncode == 2, done.stdout  # type: ignore[attr-defined]
    (line,) = done.stderr.splitlines()  # type: ignore[attr-defined]
    assert all(words in line for words in said), line


def test_a_wrong_dtype_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    write_half(tmp_path / "r/a_1.bin", np.zeros(11))
    (tmp_path / "l.txt").write_text("a.jpg 0\n", encoding="ascii")
    with pytest.raises(InputError, match=r"22 bytes, a multiple of 4 \(float32\)"):
        topn(tmp_path / "r", tmp_path / "l.txt")
    write_half(tmp_path / "r/a_1.bin", np.zeros(12))
    (tmp_path / "l.txt").write_text("a.jpg 11\n", encoding="ascii")
    with pytest.raises(InputError, match=r"outside the classes 0 to 5.*a: 11.*--dtype"):
        topn(tmp_path / "r", tmp_path / "l.txt")
    assert topn(tmp_path / "r", tmp_path / "l.txt", Reading(dtype="float16")).classes == 12


def test_missing_samples_may_be_left_out_and_are_counted(
    data: tuple[Path, Path, np.ndarray, np.ndarray], tmp_path: Path, stage: Stage
) -> None:
    result, labels, logits, truth = data
    fill(result, logits)
    remove_two(result)
    done = stage(
        "metrics/topn.py", result, labels, "--allow-missing", "--out", tmp_path / "result.json"
    )
    assert done.returncode == 0  # type: ignore[attr-defined]
    assert "MISSING: 2 samples" in done.stdout and "img_3, img_9" in done.stdout  # type: ignore[attr-defined]
    form = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert form["value"][0] == {"key": "Number of images", "value": "298"}
    proof = json.loads((tmp_path / "result.json.proof.json").read_text(encoding="utf-8"))
    assert proof["facts"]["figures"]["missing"] == ["img_3", "img_9"]
    kept = np.delete(np.arange(300), [3, 9])
    assert proof["facts"]["figures"]["hits"][0] == np.count_nonzero(
        logits.argmax(axis=1)[kept] == truth[kept]
    )


def test_results_of_a_rehearsal_are_marked(
    data: tuple[Path, Path, np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    result, labels, logits, _ = data
    fill(result, logits)
    Work("infer", result, inputs={}, parameters={}, simulated=True).finish([])
    assert topn(result, labels).to_text().startswith("REHEARSAL")
    topn(result, labels, out=tmp_path / "result.json")
    assert read_proof(tmp_path / "result.json.proof.json").simulated
    assert compare(result, result, labels).to_text().startswith("REHEARSAL")


def test_an_unknown_dtype_is_refused() -> None:
    with pytest.raises(InputError, match="float32 or float16"):
        Reading(dtype="bfloat16")


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"PK\x03\x04", b"not an array"])
def test_a_damaged_npy_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r/a_1.npy").write_bytes(content)
    (tmp_path / "l.txt").write_text("a 0\n", encoding="ascii")
    with pytest.raises(InputError, match=r"a_1\.npy"):
        topn(tmp_path / "r", tmp_path / "l.txt")


def test_a_pickled_npy_is_never_unpickled(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    np.save(tmp_path / "r/a_1.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    (tmp_path / "l.txt").write_text("a 0\n", encoding="ascii")
    with pytest.raises(InputError, match=r"a_1\.npy"):
        topn(tmp_path / "r", tmp_path / "l.txt")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a.JPEG 1\nb.JPEG\n", "line 2"),
        ("a.JPEG 1\n\nb.JPEG 2 3\n", "line 3"),
        ("a.JPEG -1\n", "line 1"),
        ("a.JPEG 1.0\n", "line 1"),
        ("a.JPEG 1\na.png 2\n", "1 sample ids belong to more than one file"),
        ("", "empty"),
        (" \n\n", "empty"),
    ],
)
def test_a_malformed_label_file_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "l.txt").write_text(text, encoding="ascii")
    with pytest.raises(InputError, match=said):
        read_labels(tmp_path / "l.txt")


def test_labels_with_and_without_extension_blank_lines_and_windows_ends(tmp_path: Path) -> None:
    (tmp_path / "l.txt").write_bytes(b"\xef\xbb\xbfval/a.b.JPEG 65\r\n\r\nb\t7 \r\n")
    assert read_labels(tmp_path / "l.txt") == {"a": 65, "b": 7}
