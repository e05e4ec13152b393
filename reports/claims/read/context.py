"""Words, file names and commands that name the device and the batch of a figure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from portproof.reports.claims.read.plain_text import Document

LARGEST_BATCH = 1024

#: ``batch1``, ``bs16``, ``batch_size=8``, ``batchsize 为 4``, ``batchsize_16``, and the
#: misspellings that occur.
_BATCH = re.compile(
    r"(?:b[ae]t?ch[ _-]?(?:s[iz]{2}e)?|bacth|(?<![A-Za-z])bs)"
    r"\s?(?:\s?为|\s?是|[:=_(]|-(?=\d))?\s?(\d{1,4})(?!\d|\.\d)"
    r"((?:\s?[,/与和]\s?(?:batch|bs)?\s?\d{1,3}(?![\d.*]))*)",
    re.IGNORECASE,
)
PERF_FILE = re.compile(
    r"perf_[a-z]+_batchsize_(\d{1,4})_device_\d+"
    r"|PureInfer_perf_of_[^\s/]{0,120}?bs_?(\d{1,4})_",
    re.IGNORECASE,
)
COMMAND = re.compile(
    r"benchmark\S*\s+--?\w|ais_(?:infer|bench)\S*\s+--?\w|msame\s+--|trtexec\s+--"
    r"|--shapes|-om_path|--model[ =]"
)
_COMMAND_BATCH = re.compile(
    r"--?batch_?size[ =](\d{1,4})(?![\d.])"
    r"|--shapes=\S{0,60}?:(\d{1,4})x"
    r"|--batch=(\d{1,4})(?!\d)"
    r"|--dymBatch[ =](\d{1,4})",
    re.IGNORECASE,
)
_MODEL_BATCH = re.compile(r"[_-](?:bs|batch)_?(\d{1,4})(?![\d.]*\d)", re.IGNORECASE)
#: A figure from before or after tuning may differ from a log that does not name which of the two it
#: is.
TUNED = re.compile(
    r"优化[前后]|调优|auto[ _]?tun|aoe|使用[^,;。]{1,12}后|纯推理|端到端", re.IGNORECASE
)
#: A plain figure for another input, precision, model or runtime is not the one that the tables
#: show.
OTHER_CONDITION = re.compile(
    r"end[- _]to[- _]end|端到端|分辨率|尺寸|resolution|\d{3,4}\s?[*xX]\s?\d{3,4}"
    r"|int8|fp32|量化|onnx|pytorch|在线|同类|其他模型|TensorRT.{0,200}TensorRT",
    re.IGNORECASE,
)
_MORE = re.compile(r"\d{1,3}")
_CODE = re.compile(r"[{};]|\w\(|^\s*(?:#|//|\$|>>>)|\[(?:INFO|I|W|E|DEBUG)\]|\w\s?=\s?[\w\"']*$")
_CHINESE = re.compile(r"[\u4e00-\u9fff]")

_DEVICES = (
    ("310B", re.compile(r"(?<![\d.])310\s?B\d?(?![A-Za-z])", re.IGNORECASE)),
    (
        "310P",
        re.compile(r"(?<![\d.])310\s?P\d?(?![A-Za-z])|(?<![\d.])710(?!\d|\.\d)", re.IGNORECASE),
    ),
    ("310", re.compile(r"(?<![\d.])310(?!\d|\.\d|\s?[BP]\d?(?![A-Za-z]))", re.IGNORECASE)),
    ("910", re.compile(r"(?<![\d.])910[AB]?\d?(?!\d|\.\d)", re.IGNORECASE)),
    # "GPUs" is a number of cards.
    ("GPU", re.compile(r"(?<![A-Za-z0-9])T4(?![0-9])|(?<![A-Za-z])gpu(?!s)", re.IGNORECASE)),
    ("other GPU", re.compile(r"(?<![A-Za-z0-9])(?:[AVP]100|A10|A30|RTX\s?\d{4})(?![0-9A-Za-z])")),
)
#: The word, and not the middle of "Input".
NPU_WORD = re.compile(r"(?<![A-Za-z])npu(?![A-Za-z])", re.IGNORECASE)
#: The chips that models are ported to; the 910 trains them.
PORTED_TO = ("310", "310P", "310B")
NPUS = (*PORTED_TO, "910")
#: Numbers that name a chip, and never a batch or a rate.
CHIP_NUMBERS = (*NPUS, "710")


def batches_in(text: str) -> list[int]:
    """The batches named in a text, in order, each once.

    >>> batches_in("batch16的性能，perf_vision_batchsize_16_device_1.txt")
    [16]
    >>> batches_in("bs1与bs16的om"), batches_in("batch4,8,32")
    ([1, 16], [4, 8, 32])
    """
    batches: list[int] = []
    for match in _BATCH.finditer(text):
        for number in [match[1], *_MORE.findall(match[2])]:
            if (
                0 < int(number) <= LARGEST_BATCH
                and number not in CHIP_NUMBERS
                and int(number) not in batches
            ):
                batches.append(int(number))
    return batches


def batch_in(text: str) -> int | None:
    """The batch that a text names, when it names exactly one."""
    batches = batches_in(text)
    return batches[0] if len(batches) == 1 else None


def device_spans(text: str) -> list[tuple[int, str]]:
    """Where devices are named, as (position, device). 710 is 310P; T4 and "gpu" are one."""
    return sorted(
        (match.start(), name) for name, pattern in _DEVICES for match in pattern.finditer(text)
    )


def devices_in(text: str) -> list[str]:
    """The devices named in a text, each once.

    >>> devices_in("batch1 310P单卡吞吐率"), devices_in("310.731")
    (['310P'], [])
    >>> devices_in("710上的性能达到了T4上的1.6倍")
    ['310P', 'GPU']
    >>> devices_in("310 bs1"), devices_in("310B1 bs1"), devices_in("310 performance")
    (['310'], ['310B'], ['310'])
    """
    return list(dict.fromkeys(name for _, name in device_spans(text)))


def device_in(text: str) -> str | None:
    """The device that a text names, when it names exactly one."""
    devices = devices_in(text)
    return devices[0] if len(devices) == 1 else None


def states(document: Document, number: int) -> bool:
    """Whether a line may state something: outside a code block, or in one with words of a report
    and not of code.
    """
    line = document.lines[number]
    if not document.fenced[number]:
        return True
    if COMMAND.search(line) or _CODE.search(line):
        return False
    return bool(_CHINESE.search(line)) or bool(batches_in(line) and devices_in(line))


def command_batch(line: str) -> int | None:
    """The batch that a command line names: its option, else its model's name."""
    for pattern in (_COMMAND_BATCH, _MODEL_BATCH):
        batches = {
            int(group) for match in pattern.finditer(line) for group in match.groups() if group
        }
        if len(batches) == 1 and 0 < min(batches) <= LARGEST_BATCH:
            return batches.pop()
        if batches:
            return None
    return None
