"""``npu-smi info``: which Ascend chips there are, and whether they are idle.

The table's layout changes with the version (column widths, title rows, a table of processes below,
910's three memory columns), so rows are recognised by what their fields hold, never by their place:
a first row ``NPU Name | Health | Power Temp Hugepages``, then a second row ``Chip [Device] | Bus-Id
| AICore used / total``. A card with several chips may repeat the first row for each or not.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from portproof.core.errors import InputError, ToolError
from portproof.core.shell import Finished, find_program, run_program
from portproof.core.text import listed, printable
from portproof.target import match_target

_NAME = re.compile(r"^\d{3}\w*$")
_HEALTH = frozenset({"OK", "Warning", "Alarm", "Critical", "UNKNOWN"})
_BUS = re.compile(r"^(?:[0-9A-Fa-f]{4}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-9A-Fa-f]|NA)$")
_MEMORY = re.compile(r"(\d+)\s*/\s*(\d+)")
_DRIVER = re.compile(r"npu-smi\s+\S+\s+Version:\s*([\w.]+)")
#: A chip's name without its variant: 310P1 to 310P7 are one family, and so are 310B1 and 310B4.
_FAMILY = re.compile(r"^Ascend(\d+[A-Za-z]?)\d*$", re.IGNORECASE)
_IDLE_PERCENT = 0
_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Process:
    """A program on a chip: its id and name, and its memory in MB."""

    npu: int
    chip: int
    pid: int
    name: str
    memory_mb: int | None


@dataclass(frozen=True, slots=True)
class Chip:
    """One chip. ``npu`` is the card's id; ``device`` is what tools take as the device id;
    ``driver`` is the host's. ``None`` is what the table does not say.
    """

    npu: int
    chip: int
    device: int
    name: str
    health: str
    power_w: float | None
    temperature_c: float | None
    bus_id: str | None
    aicore_percent: int | None
    memory_used_mb: int | None
    memory_total_mb: int | None
    driver: str | None = None
    processes: tuple[Process, ...] = ()

    @property
    def soc_version(self) -> str:
        """What ``atc --soc_version`` takes: ``Ascend`` and the name."""
        return f"Ascend{self.name}"

    @property
    def is_idle(self) -> bool:
        """No program on the chip, and none of its cores at work."""
        return not self.processes and (
            self.aicore_percent is None or self.aicore_percent <= _IDLE_PERCENT
        )


def parse(text: str) -> list[Chip]:
    """The chips of an ``npu-smi info`` table, in its order; an empty list without a table."""
    chips: list[Chip] = []
    processes: list[Process] = []
    head: list[list[str]] | None = None
    for line in text.splitlines():
        cells = [cell.split() for cell in line.strip().strip("|").split("|")]
        if _is_first_row(cells):
            head = cells
        elif head is not None and _is_second_row(cells):
            chips.append(_chip(head, cells, len(chips)))
        elif (process := _process(cells)) is not None:
            processes.append(process)
    driver = found[1] if (found := _DRIVER.search(text)) else None
    return [
        replace(
            c,
            driver=driver,
            processes=tuple(p for p in processes if (p.npu, p.chip) == (c.npu, c.chip)),
        )
        for c in chips
    ]


def _is_first_row(cells: Sequence[Sequence[str]]) -> bool:
    if len(cells) < 3 or len(cells[0]) != 2 or not cells[1]:
        return False
    return cells[0][0].isdigit() and bool(_NAME.match(cells[0][1])) and cells[1][0] in _HEALTH


def _is_second_row(cells: Sequence[Sequence[str]]) -> bool:
    if len(cells) < 3 or len(cells[0]) not in (1, 2) or len(cells[1]) != 1:
        return False
    return all(word.isdigit() for word in cells[0]) and bool(_BUS.match(cells[1][0]))


def _chip(head: Sequence[Sequence[str]], row: Sequence[Sequence[str]], index: int) -> Chip:
    """A chip of its two rows. Without a Device column (910) its id is its place in the table."""
    numbers = [int(word) for word in row[0]]
    load = " ".join(row[2])
    memory = _MEMORY.findall(load)
    aicore = load.split()[0] if load else ""
    return Chip(
        npu=int(head[0][0]),
        chip=numbers[0],
        device=numbers[1] if len(numbers) == 2 else index,
        name=head[0][1],
        health=head[1][0],
        power_w=_number(head[2], 0),
        temperature_c=_number(head[2], 1),
        bus_id=None if row[1][0] == "NA" else row[1][0],
        aicore_percent=int(aicore) if aicore.isdigit() else None,
        memory_used_mb=int(memory[-1][0]) if memory else None,
        memory_total_mb=int(memory[-1][1]) if memory else None,
    )


def _number(words: Sequence[str], at: int) -> float | None:
    try:
        return float(words[at])
    except (IndexError, ValueError):
        return None


def _process(cells: Sequence[Sequence[str]]) -> Process | None:
    """A row of the processes: ``NPU Chip | Process id | Process name | Process memory(MB)``."""
    if (
        len(cells) != 4
        or len(cells[0]) != 2
        or not all(c.isdigit() for c in cells[0])
        or len(cells[1]) != 1
        or not cells[1][0].isdigit()
    ):
        return None
    memory = cells[3][0] if cells[3] else ""
    return Process(
        int(cells[0][0]),
        int(cells[0][1]),
        int(cells[1][0]),
        " ".join(cells[2]),
        int(memory) if memory.isdigit() else None,
    )


def query(log: Path | None = None) -> list[Chip]:
    """The chips of this host, by ``npu-smi info``; :class:`InputError` without the program,
    :class:`ToolError` when it fails.
    """
    program = find_program(
        ["npu-smi"],
        ["/usr/local/sbin", "/usr/local/bin"],
        "it comes with the Ascend driver: run this on the NPU host, or rehearse with --rehearse",
    )
    with tempfile.TemporaryDirectory(prefix="portproof-") as folder:
        done = run_program(
            [str(program), "info"], log or Path(folder, "npu-smi.log"), timeout_s=_TIMEOUT_S
        )
        chips = parse(done.output)
        _refuse_failure(done, chips)
    return chips


def _refuse_failure(done: Finished, chips: Sequence[Chip]) -> None:
    if done.exit_code != 0:
        raise done.failure(
            f"'npu-smi info' {done.how}; check the driver with 'npu-smi info' by hand"
        )
    if not chips:
        raise done.failure(
            "'npu-smi info' lists no chip in a form that is known; check the driver, or report this"
            " table"
        )


def is_same_kind(soc_version: str, expected: str) -> bool:
    """Whether two chips are of one kind: their targets are the same, or their names but for the
    last digit.

    >>> is_same_kind("Ascend310P1", "Ascend310P3"), is_same_kind("Ascend710", "Ascend310P3")
    (True, True)
    >>> is_same_kind("Ascend310", "Ascend310P3"), is_same_kind("Ascend310B4", "Ascend310P3")
    (False, False)
    """
    family = _family(soc_version)
    return family is not None and family == _family(expected)


def _family(soc_version: str) -> str | None:
    target = match_target(soc_version)
    match = _FAMILY.match(target.soc_version or "" if target else soc_version)
    return match[1].upper() if match else None


def check_devices(
    chips: Sequence[Chip], soc_versions: Sequence[str], devices: Sequence[int]
) -> list[Chip]:
    """The chips of those device ids, after a check that they exist, are of an expected kind,
    healthy and idle.

    ``soc_versions``: what is accepted, such as ``Ascend310P3``; a kind without a last digit
    (``Ascend310P``) accepts every variant. Raises :class:`InputError` for a device that is not
    there or of another kind, :class:`ToolError` for one that is unhealthy or busy.
    """
    by_device = {c.device: c for c in chips}
    missing = [d for d in devices if d not in by_device]
    if missing:
        raise InputError(
            f"there is no device {missing[0]} on this host; 'npu-smi info' lists"
            f" {', '.join(map(str, sorted(by_device)))}"
        )
    wanted = [by_device[d] for d in devices]
    for chip in wanted:
        if not any(is_same_kind(chip.soc_version, soc) for soc in soc_versions):
            raise InputError(
                f"device {chip.device} is an {chip.soc_version}, the target is"
                f" {' or '.join(soc_versions)}; choose another --target"
            )
        if chip.health not in ("OK", "Warning"):
            raise ToolError(
                f"device {chip.device} ({chip.soc_version}) reports its health as {chip.health};"
                " look at 'npu-smi info'"
            )
        if not chip.is_idle:
            raise ToolError(
                f"device {chip.device} ({chip.soc_version}) is not idle: {_load(chip)}; wait for it"
                " or choose another device"
            )
    return wanted


def _load(chip: Chip) -> str:
    programs = [f"{printable(p.name)} (pid {p.pid})" for p in chip.processes]
    return f"AICore {chip.aicore_percent} %" + (f", running {listed(programs)}" if programs else "")
