"""Words around a figure that say which device and which batch it belongs to."""

from __future__ import annotations

import re

LARGEST_BATCH = 1024

#: ``batch1``, ``bs16``, ``batch_size=8``, ``batchsize 为 4``, ``batchsize_16``, and the
#: misspellings that occur.
_BATCH = re.compile(
    r"(?:b[ae]t?ch[ _-]?(?:s[iz]{2}e)?|bacth|(?<![A-Za-z])bs)"
    r"\s?(?:\s?为|\s?是|[:=_(]|-(?=\d))?\s?(\d{1,4})(?!\d|\.\d)"
    r"((?:\s?[,/与和]\s?(?:batch|bs)?\s?\d{1,3}(?![\d.*]))*)",
    re.IGNORECASE,
)
_MORE = re.compile(r"\d{1,3}")

_DEVICES = (
    ("310B", re.compile(r"(?<![\d.])310\s?B\d?(?![A-Za-z])", re.IGNORECASE)),
    (
        "310P",
        re.compile(r"(?<![\d.])310\s?P\d?(?![A-Za-z])|(?<![\d.])710(?!\d|\.\d)", re.IGNORECASE),
    ),
    ("310", re.compile(r"(?<![\d.])310(?!\d|\.\d|\s?[BP]\d?(?![A-Za-z]))", re.IGNORECASE)),
    ("910", re.compile(r"(?<![\d.])910[AB]?\d?(?!\d|\.\d)", re.IGNORECASE)),
    ("GPU", re.compile(r"(?<![A-Za-z0-9])T4(?![0-9])|(?<![A-Za-z])gpu", re.IGNORECASE)),
    ("other GPU", re.compile(r"(?<![A-Za-z0-9])(?:[AVP]100|A10|A30|RTX\s?\d{4})(?![0-9A-Za-z])")),
)
NPUS = ("310", "310P", "310B", "910")


def batches_in(text: str) -> list[int]:
    """The batches named in a text, in order, each once.

    >>> batches_in("batch16的性能，perf_vision_batchsize_16_device_1.txt")
    [16]
    >>> batches_in("bs1与bs16的om"), batches_in("batch4,8,32")
    ([1, 16], [4, 8, 32])
    """
    found: list[int] = []
    for match in _BATCH.finditer(text):
        for number in [match[1], *_MORE.findall(match[2])]:
            if (
                0 < int(number) <= LARGEST_BATCH
                and number not in ("310", "710")
                and int(number) not in found
            ):
                found.append(int(number))
    return found


def batch_in(text: str) -> int | None:
    """The batch that a text names, when it names exactly one."""
    found = batches_in(text)
    return found[0] if len(found) == 1 else None


def device_spans(text: str) -> list[tuple[int, str]]:
    """Where devices are named, as (position, device). 710 is the old name of 310P; T4 and "gpu" are
    one device.
    """
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
    found = devices_in(text)
    return found[0] if len(found) == 1 else None
