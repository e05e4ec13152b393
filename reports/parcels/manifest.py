"""The first member of a parcel: what is in it, what stayed behind, and whose claim it is.

A parcel is a tar archive in the plain ustar format, compressed with Zstandard. Its members are
``manifest.json``, ``signature.json``, and the files in the order of the manifest.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from portproof.core.errors import InputError
from portproof.core.jsonfile import json_in, record_from

SCHEMA = "portproof.parcel/1"
MANIFEST, SIGNATURE = "manifest.json", "signature.json"
#: What a manifest and a signature may be at most, so that reading them is bounded.
MOST_BYTES = 64 << 20
REMEDY = "ask the sender to pack the run directory again"


class Member(msgspec.Struct, frozen=True):
    """A file of the run directory: its relative path, size in bytes and SHA-256."""

    path: str
    size: int
    sha256: str


class Manifest(msgspec.Struct, kw_only=True, frozen=True):
    """What a parcel holds. ``left_out``: files of the run directory that are not in it, such as
    models and samples; their hashes stand in the sidecars. ``report_sha256``: of the report that
    seals the run directory. ``who`` and ``when`` are the sender's claim.
    """

    schema: str = SCHEMA
    portproof: str
    model: str
    report_sha256: str
    files: list[Member]
    left_out: list[str]
    who: str | None = None
    when: str


class Signature(msgspec.Struct, kw_only=True, frozen=True):
    """An Ed25519 signature (RFC 8032) over the manifest's bytes; key and signature as hexadecimal
    digits of 32 and 64 bytes.
    """

    algorithm: Literal["ed25519"] = "ed25519"
    public_key: str
    signature: str


def manifest_from(data: bytes, name: str) -> Manifest:
    """The manifest in a parcel's first member; :class:`InputError` if it is damaged."""
    try:
        content = json_in(data)
    except ValueError as error:
        raise InputError(f"'{name}': the manifest is {error}; {REMEDY}") from error
    return record_from(content, Manifest, SCHEMA, f"the manifest of '{name}'", REMEDY)
