"""The options of ``port`` that only some targets know: refused where none does."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from portproof.commands.port import parser
from portproof.core.errors import InputError
from portproof.rundir.options import settings_from
from portproof.target import find_target


@pytest.mark.parametrize(
    ("words", "target", "knows"),
    [
        (("--starts", "4"), "310p", "cpu"),
        (("--tune",), "cpu", "310p"),
        (("--devices", "1"), "cpu", "310p"),
    ],
)
def test_an_option_without_a_meaning_is_refused(
    tmp_path: Path, words: tuple[str, ...], target: str, knows: str
) -> None:
    options = parser().parse_args(["--target", target, *words])
    with pytest.raises(InputError, match=re.escape(f"{words[0]} has no meaning for {target}")):
        settings_from(options, tmp_path)
    settings_from(parser().parse_args(["--target", knows, *words]), tmp_path)
    both = parser().parse_args(["--target", target, knows, *words])
    assert settings_from(both, tmp_path).targets == (target, knows)


def test_a_target_that_is_named_twice_is_one(tmp_path: Path) -> None:
    """As ``run_cpu.sh --target cpu cpu_fp16`` does, which names the first itself."""
    options = parser().parse_args(["--target", "cpu", "--target", "cpu", "cpu_fp16", "ort_fp16"])
    assert settings_from(options, tmp_path).targets == ("cpu", "cpu_fp16")


def test_two_targets_of_one_column_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new target is one new file, which may name the backend and precision of another."""
    found = {name: find_target(name) for name in ("cpu_int8", "cpu_fp16")}
    found["mine"] = msgspec.structs.replace(found["cpu_int8"], name="mine", aliases=())
    monkeypatch.setattr("portproof.rundir.options.find_target", found.__getitem__)
    two = parser().parse_args(["--target", "cpu_int8", "mine"])
    with pytest.raises(InputError, match="are the same column 'ort_int8': give one of them"):
        settings_from(two, tmp_path)
    settings_from(parser().parse_args(["--target", "mine", "cpu_fp16"]), tmp_path)
