"""The chips of a board: whose processor time it was, and which doubts belong to which chip."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from portproof.infer.timing.board import Board
from portproof.infer.timing.devices import CounterReading
from portproof.infer.timing.devices.watch import Watch
from portproof.infer.timing.processes.child import Block, Loaded, Warm
from portproof.infer.timing.processes.counters import Usage
from portproof.infer.timing.processes.feed import Feeding
from portproof.infer.timing.processes.teams import Team
from portproof.infer.timing.protocol import Job, Plan
from portproof.infer.timing.subject import parse_subject

HOST_S = 4.0


def team(label: str, chips: int) -> Team:
    """Two blocks of one second; every worker uses an equal part of all that the host does."""
    usage = Usage(host_s=HOST_S, own_s=HOST_S / chips, wall_s=1.0)
    times: Any = {"call": [0.25, 0.25], "device": [0.125, 0.125]}
    block = Block({"call": [0.5], "device": [0.25]}, times, True, usage, 1 << 20)
    loaded = Loaded(0.1, 0.2, "npu:0", "fp16", None, ("call", "device"), 1 << 19)
    workers: Any = [SimpleNamespace(pid=100 + i) for i in range(chips)]
    watches = [Watch(f"npu:{i}", None) for i in range(chips)]
    warm = [Warm([0.25], True, 0.25)] * chips
    blocks = [[block] * chips for _ in "12"]
    return Team(label, 8, workers, [loaded] * chips, [warm], [2, 2], watches, [2], blocks)


@pytest.fixture
def board(tmp_path: Path) -> Board:
    subject = parse_subject(f"310=om:{tmp_path / 'm.om'}")
    return Board(Job((subject,), (8,), None, Feeding("random", None, {}), Plan(), (0, 1)))


def test_the_workers_of_other_chips_are_no_strange_processes(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    timed = board._timed(team("310 alone", 1), team("310 card", 2))
    assert timed.doubts == []
    assert {m.counters["other_cpu_fraction"] for m in timed.measurements} == {0.0}
    assert {m.counters["cpu_fraction"] for m in timed.measurements} == {1.0}


def test_rates_and_labels_of_one_each_and_all(board: Board) -> None:
    timed = board._timed(team("310 alone", 1), team("310 card", 2))
    shown = [(m.label, m.scope, m.device, m.chips, m.boundary) for m in timed.measurements]
    assert shown[:4] == [
        ("310 alone", "alone", "npu:0", 1, "call"),
        ("310@npu:0", "chip", "npu:0", 1, "call"),
        ("310@npu:1", "chip", "npu:1", 1, "call"),
        ("310 card", "together", "npu:0+1", 2, "call"),
    ]
    assert [m.images_per_second for m in timed.measurements] == [32, 32, 32, 64, 64, 64, 64, 128]


def test_a_doubt_about_a_chip_names_that_chip(board: Board) -> None:
    together = team("310 card", 2)
    watch = together.watches[1]
    watch.blocks = [
        [CounterReading(processes=frozenset({101, 9})), CounterReading(processes=frozenset({101}))]
    ]
    timed = board._timed(team("310 alone", 1), together)
    (doubt,) = timed.doubts
    assert doubt.startswith("310@npu:1, batch 8: other programs used npu:1")
    assert "process 9" in doubt
