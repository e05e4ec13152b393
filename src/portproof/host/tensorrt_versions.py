"""Versions of TensorRT: which are driven, where the program ``trtexec`` is, and how it prints its
version.

trtexec 7.x, which does not print its version, and 9.x are read, not driven. The Python package is
driven from 10 on, when tensors are found by their names only.
"""

from __future__ import annotations

import re

from portproof.core.errors import InputError

Version = tuple[int, int, int]

PROGRAM_FOLDERS = ("/usr/src/tensorrt/bin", "/usr/local/tensorrt/bin", "/opt/tensorrt/bin")
HINT = "install TensorRT from https://developer.nvidia.com/tensorrt and put its bin folder on PATH"
PROGRAM_DRIVEN, PACKAGE_DRIVEN = (8, 10, 11), (10, 11)
#: The lines with which trtexec begins and ends: its verdict, number of its version, command line.
BANNER = re.compile(
    r"&&&& (RUNNING|PASSED|FAILED) TensorRT\.trtexec"
    r"(?: \[TensorRT v(\d{4,7})\])?(?: \[b\d{1,5}\])?(?: # (.{0,8000}))?"
)


def version_of(number: str) -> Version:
    """The version of a banner's number: major*1000 + minor*100 + patch up to 9.x, major*10000 +
    minor*100 + patch from 10.

    >>> version_of("8205"), version_of("101601"), version_of("110100")
    ((8, 2, 5), (10, 16, 1), (11, 1, 0))
    """
    value = int(number)
    return (
        (value // 10000, value // 100 % 100, value % 100)
        if value >= 100000
        else (value // 1000, value // 100 % 10, value % 100)
    )


def version_in_help(text: str) -> Version:
    """The version in the banner of ``trtexec --help``; :class:`InputError` if it is too old."""
    banner = BANNER.search(text)
    if banner is None:
        raise InputError(
            "'trtexec --help' begins with no banner of TensorRT; check which program that is"
        )
    major = version_of(banner[2])[0] if banner[2] else 7
    if major not in PROGRAM_DRIVEN:
        raise InputError(
            f"this trtexec is of TensorRT {major}, which is read but not driven; use 8, 10 or 11,"
            " or run it by hand and give its log"
        )
    return version_of(banner[2])


def is_package_driven(version: str) -> bool:
    """Whether the Python package of that version is driven.

    >>> [is_package_driven(v) for v in ("8.6.1", "10.16.1.11", "11.4.0.106")]
    [False, True, True]
    """
    return version.partition(".")[0] in map(str, PACKAGE_DRIVEN)
