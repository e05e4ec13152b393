"""Sample ids and info lists."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portproof.core.errors import InputError
from portproof.manifest import Sample, files_in, read_info, sample_id, write_info

NAMES = st.text(
    st.characters(whitelist_categories=("L", "N"), whitelist_characters="_-"),
    min_size=1,
    max_size=20,
)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "x.info"
    path.write_text(text)
    return path


def test_the_contract_s_example(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "0 ./prep_dataset/ILSVRC2012_val_00000009.bin 224 224\n1 ./prep_dataset/b.c.bin 224 224\n",
    )
    assert read_info(path) == [
        Sample(
            "ILSVRC2012_val_00000009", ("./prep_dataset/ILSVRC2012_val_00000009.bin",), 224, 224
        ),
        Sample("b", ("./prep_dataset/b.c.bin",), 224, 224),
    ]


def test_several_inputs_are_consecutive_lines_with_one_index(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "0 ids_0.bin\n0 segment_0.bin\n0 mask_0.bin\n1 ids_1.bin\n1 segment_1.bin\n1 mask_1.bin\n",
    )
    assert [(s.id, len(s.files)) for s in read_info(path)] == [("ids_0", 3), ("ids_1", 3)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("0 a.bin 224 224 9\n", "line 1.*blanks"),
        ("0 a.bin 224 224\nx b.bin 224 224\n", "line 2"),
        ("0 a.bin\n1 d/a.bin\n", "more than one file"),
        ("0 a.bin\n0 b.bin\n1 c.bin\n1 d.bin\n2 e.bin\n", "1 have another number"),
        ("0 .bin 1 1\n", "no sample id"),
    ],
)
def test_a_wrong_list_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_info(written(tmp_path, text))


@given(st.lists(NAMES, min_size=1, max_size=30, unique=True), st.integers(1, 3))
def test_what_is_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], inputs: int
) -> None:
    path = tmp_path_factory.mktemp("info") / "x.info"
    samples = [Sample(n, tuple(f"{k}/{n}.bin" for k in range(inputs))) for n in names]
    write_info(path, samples)
    assert read_info(path) == samples


def test_a_blank_in_a_path_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="blank"):
        write_info(tmp_path / "x.info", [Sample("a", ("my prep/a.bin",))])
    assert not (tmp_path / "x.info").exists()


def test_ids_are_cut_at_the_first_dot() -> None:
    assert sample_id("x/a.b.c") == "a"


def test_files_are_sorted_and_hidden_ones_left_out(tmp_path: Path) -> None:
    for name in ("b.JPEG", "a.jpg", ".c.jpg", "d.txt"):
        (tmp_path / name).touch()
    assert [p.name for p in files_in(tmp_path, (".jpg", ".jpeg"))] == ["a.jpg", "b.JPEG"]
