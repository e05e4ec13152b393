"""Tables of results: the device, the batch and the quantity of each figure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from portproof.reports.claims.read.context import (
    NPU_WORD,
    NPUS,
    batches_in,
    device_in,
    device_spans,
    devices_in,
)
from portproof.reports.claims.read.grids import Grid
from portproof.reports.claims.read.plain_text import Document
from portproof.reports.claims.read.rate_cells import RateCell, batch_of, cell_value

_RATIO = re.compile(r"[/÷:]|与|比|\bvs\b|\bover\b", re.IGNORECASE)
_BEST = re.compile(r"最优|最佳|最好|最高|\bbest\b|\bmax\b", re.IGNORECASE)
_BATCH_HEADER = re.compile(
    r"\s*(?:b[ae]t?ch[ _-]?(?:s[iz]{2}e)?|bs|批次大小|批大小|throughput|)\s*", re.IGNORECASE
)
_DEVICE_HEADER = re.compile(r"芯片|设备|硬件|device|chip|型号|平台", re.IGNORECASE)
_RATE_HEADER = re.compile(r"性能|吞吐|fps|through?put|samples/s|qps|img/s", re.IGNORECASE)
_OTHER_HEADER = re.compile(
    r"精度|acc|top[ -]?\d|map\b|iou|psnr|ssim|f1|wer|cer"
    r"|时延|耗时|latency|\bms\b|time|内存|memory|显存|功耗|大小|params|flops"
    r"|数据集|dataset|loss|err",
    re.IGNORECASE,
)
_RATIO_WORD = re.compile(r"比值|性能比|加速比|倍数|\bratio\b|speed-?up", re.IGNORECASE)
_LONGEST_TITLE = 60
#: The divisor of a ratio column that names no devices.
ANY_TWO = "any two"
_VARIANT = re.compile(
    r"aoe|onnx|torch|auto[ _]?tune|调优|优化|int8|fp32|量化|quant"
    r"|在线|online|多线程|动态|dynamic",
    re.IGNORECASE,
)
#: "基准性能" is what the port is measured against: the GPU's throughput.
_BASELINE = re.compile(r"基准(?:性能|吞吐)")


@dataclass(frozen=True)
class RateColumn:
    """A column of throughputs (``device``) or of ratios (``over`` is the divisor's device)."""

    header: str
    line: int
    device: str | None
    over: str | None
    variant: bool
    latency: bool
    values: tuple[RateCell, ...]

    def at(self, row: int) -> RateCell | None:
        """The value in a row of the table."""
        return next((value for value in self.values if value.row == row), None)


@dataclass(frozen=True)
class RateTable:
    """A table of throughputs by device and batch."""

    line: int
    columns: tuple[RateColumn, ...]

    @cached_property
    def rates(self) -> list[RateColumn]:
        """The throughput columns."""
        return [column for column in self.columns if column.over is None and column.device]

    @cached_property
    def ratios(self) -> list[RateColumn]:
        """The ratio columns."""
        return [column for column in self.columns if column.over]

    def of(self, device: str) -> list[RateColumn]:
        """The throughput columns of a device."""
        return [column for column in self.rates if column.device == device]


def tables_in(document: Document, every: list[Grid]) -> list[RateTable]:
    """The document's tables that hold throughputs by device."""
    tables = []
    for grid in every:
        table = _read(_upright(grid), _is_of_rates(document, grid))
        if table and table.rates:
            tables.append(table)
    return tables


def _is_of_rates(document: Document, grid: Grid) -> bool:
    """Whether a column that only names a device can be taken for throughputs: nothing around the
    table names another quantity.
    """
    near = range(max(0, grid.line - 4), grid.line)
    above = [document.lines[n] for n in near if document.lines[n].strip()][-1:]
    # The last row of another table is no title of this one.
    above = [line for line in above if "|" not in line]
    headings = document.headings_above(grid.line)
    title = [line for line in above if len(line) < _LONGEST_TITLE]
    for text in (grid.rows[0][0].text, *title, *(h.text for h in headings[:1])):
        rate, other = bool(_RATE_HEADER.search(text)), bool(_OTHER_HEADER.search(text))
        if rate != other:
            return rate
    return True


def _upright(grid: Grid) -> Grid:
    """The table with batches down and devices across."""
    across = [batch_of(cell.text, True) or _BEST.search(cell.text) for cell in grid.rows[0][1:]]
    first = grid.rows[0][0].text
    down = [row[0].text for row in grid.rows[1:]]
    named = sum(bool(batches_in(cell.text)) for cell in grid.rows[0][1:])
    if (
        all(across)
        and len(across) >= 2
        and (named >= 2 or _BATCH_HEADER.fullmatch(first))
        and any(devices_in(text) for text in down)
    ):
        return grid.transposed()
    return grid


def _read(grid: Grid, of_rates: bool) -> RateTable | None:
    headers = [cell.text for cell in grid.rows[0]]
    by_batch = next(
        (
            i
            for i, text in enumerate(headers)
            if text and _BATCH_HEADER.fullmatch(text) and "through" not in text.lower()
        ),
        None,
    )
    by_device = next(
        (
            i
            for i, text in enumerate(headers)
            if _DEVICE_HEADER.search(text) and not _RATE_HEADER.search(text)
        ),
        None,
    )
    if by_device is not None and any(devices_in(row[by_device].text) for row in grid.rows[1:]):
        return _listed(grid, headers, by_batch, by_device)
    first = 0 if by_batch is None else by_batch
    columns = []
    for index in range(len(headers)):
        if index != first:
            column = _column(grid, index, first, of_rates)
            if column and column.values:
                columns.append(column)
    return RateTable(grid.line, tuple(columns)) if columns else None


def _column(grid: Grid, index: int, first: int, of_rates: bool) -> RateColumn | None:
    header = grid.rows[0][index].text
    named = _devices(header)
    says_rate = bool(_RATE_HEADER.search(header))
    device, over = named[0] if named else None, None
    if len(named) == 2 and _RATIO.search(header):
        over = named[1]
    elif not named and _RATIO_WORD.search(header):
        over = ANY_TWO
    elif len(named) != 1 or not (says_rate or (of_rates and not _OTHER_HEADER.search(header))):
        return None
    latency = bool(re.search(r"时延|latency|\bms\b|耗时", header, re.IGNORECASE))
    of_batches = _BATCH_HEADER.fullmatch(grid.rows[0][first].text) is not None
    values = []
    for row, cells in enumerate(grid.rows[1:], start=1):
        title = cells[first].text
        rate_named = over or says_rate or _RATE_HEADER.search(title)
        if _OTHER_HEADER.search(title) and not rate_named:
            continue
        batch, best = batch_of(title, of_batches), bool(_BEST.search(title))
        value = cell_value(cells[index], row, None if best else batch, best)
        if value and (over or not value.percent) and (rate_named or best or batch):
            values.append(value)
    line, variant = grid.rows[0][index].line, bool(_VARIANT.search(header))
    return RateColumn(header, line, device, over, variant, latency, tuple(values))


def _listed(
    grid: Grid, headers: list[str], by_batch: int | None, by_device: int
) -> RateTable | None:
    """The form with one row a device and batch: ``芯片型号 | Batch Size | 精度 | 性能``."""
    rates = [
        i
        for i, text in enumerate(headers)
        if _RATE_HEADER.search(text) and not _OTHER_HEADER.search(text)
    ]
    rate = [i for i in rates if not _BASELINE.search(headers[i])]
    if len(rate) != 1:
        return None
    values_of: dict[str, list[RateCell]] = {}
    for row, cells in enumerate(grid.rows[1:], start=1):
        device = device_in(cells[by_device].text)
        batch = None if by_batch is None else batch_of(cells[by_batch].text, True)
        value = cell_value(cells[rate[0]], row, batch, False)
        if device and value:
            values_of.setdefault(device, []).append(value)
    variant = any(_VARIANT.search(cell.text) for row in grid.rows for cell in row)
    columns = [
        RateColumn(headers[rate[0]], grid.line, device, None, variant, False, tuple(values))
        for device, values in values_of.items()
    ]
    return RateTable(grid.line, tuple(columns)) if columns else None


def _devices(header: str) -> list[str]:
    """The devices of a column title; "npu" is one where no NPU is named more exactly."""
    named = devices_in(header)
    if not named and _BASELINE.search(header):
        return ["GPU"]
    npu = NPU_WORD.search(header)
    if npu and not any(name in NPUS for name in named):
        at = npu.start()
        named = ["NPU", *named] if not named or device_spans(header)[0][0] > at else [*named, "NPU"]
    return named
