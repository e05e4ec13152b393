"""Ids of many samples in few bytes: they are what a tuple of strings would be."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from portproof.core.errors import InputError
from portproof.manifest import check_unique
from portproof.packed import ids as module
from portproof.packed.ids import SampleIds

names = st.lists(st.text(max_size=6), max_size=30)


@example(["a\0b", "", "\0", "é"])
@given(names)
def test_it_is_the_tuple_of_the_same_strings(ids: list[str]) -> None:
    packed = SampleIds.of(iter(ids))
    assert packed == tuple(ids) and list(packed) == ids and len(packed) == len(ids)
    assert [packed[i] for i in range(-len(ids), len(ids))] == [*ids, *ids]
    assert list(packed[1:20:2]) == ids[1:20:2]
    assert all(i in packed for i in ids) and "none of these" not in packed
    with pytest.raises(IndexError):
        packed[len(ids)]


@settings(max_examples=200)
@given(st.lists(st.text(max_size=3), unique=True), names, st.sampled_from(["usual", "len", "one"]))
def test_places_are_those_of_a_dictionary(there: list[str], here: list[str], hashing: str) -> None:
    """With a hash that many ids share too: then strings decide."""
    hashes = {"usual": hash, "len": len, "one": lambda text: 1}[hashing]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "hash", hashes, raising=False)
        places = SampleIds.of(here).places_in(SampleIds.of(there))
        found = [SampleIds.of(there).find(sample) for sample in here]
        apart = SampleIds.of(set(here)).apart_from(SampleIds.of(there))
    known = {sample: at for at, sample in enumerate(there)}
    assert places.tolist() == found == [known.get(sample, -1) for sample in here]
    assert apart == sorted(set(here) ^ set(there))


@given(names, st.sampled_from([hash, len]))
def test_ids_that_are_there_twice_are_refused_in_the_same_words(
    ids: list[str], hashing: object
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "hash", hashing, raising=False)
        try:
            check_unique(ids, "these")
        except InputError as expected:
            with pytest.raises(InputError) as refused:
                SampleIds.of(ids).check_unique("these")
            assert str(refused.value) == str(expected)
        else:
            SampleIds.of(ids).check_unique("these")


def test_parts_fit_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TOGETHER", 7)
    ids = [f"s{i}" for i in range(50)]
    packed = SampleIds.of(ids)
    order = np.random.default_rng(0).permutation(50)
    shuffled = packed.take(order)
    assert list(shuffled) == [ids[i] for i in order]
    assert shuffled.places_in(packed).tolist() == order.tolist()
    assert packed == SampleIds.of(packed) and packed != shuffled


def test_names_that_are_no_utf8_come_back() -> None:
    assert list(SampleIds.of(["a\udcff", "表"])) == ["a\udcff", "表"]


def test_an_id_takes_its_bytes_and_four() -> None:
    count = 200_000
    tracemalloc.start()
    try:
        ids = SampleIds.of(f"s{i:09d}" for i in range(count))
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(ids) == count
    assert held < 15 * count + 100_000
    assert peak < 40 * count + 20_000_000
