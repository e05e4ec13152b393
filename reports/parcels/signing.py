"""Ed25519 signatures of parcels, by the package ``cryptography``."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from portproof.core.errors import InputError, MissingPackageError
from portproof.core.files import read_file
from portproof.reports.parcels.manifest import Signature

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_MAKE = "openssl genpkey -algorithm ed25519 -out key.pem"


def private_key(path: Path) -> Ed25519PrivateKey:
    """An Ed25519 private key from a PEM file; :class:`InputError` for anything else."""
    serialization, ed25519 = _packages()
    try:
        key = serialization.load_pem_private_key(read_file(path, "key"), password=None)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"'{path}' is no private key without a passphrase in PEM: make one with '{_MAKE}'"
        ) from error
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise InputError(f"'{path}' is a key of another kind: make one with '{_MAKE}'")
    return cast("Ed25519PrivateKey", key)


def sign(key: Ed25519PrivateKey, data: bytes) -> Signature:
    """The signature of some bytes."""
    public = key.public_key().public_bytes_raw()
    return Signature(public_key=public.hex(), signature=key.sign(data).hex())


def is_signed(signature: Signature, data: bytes) -> bool:
    """Whether the key in the signature signed these bytes."""
    from cryptography.exceptions import InvalidSignature

    _, ed25519 = _packages()
    try:
        key = ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(signature.public_key))
        key.verify(bytes.fromhex(signature.signature), data)
    except (InvalidSignature, ValueError):
        return False
    return True


def public_key(path: Path) -> str:
    """A public key from a PEM file, as hexadecimal digits."""
    serialization, ed25519 = _packages()
    try:
        key = serialization.load_pem_public_key(read_file(path, "public key"))
    except ValueError as error:
        raise InputError(
            f"'{path}' is no public key in PEM: make it with 'openssl pkey -in key.pem -pubout'"
        ) from error
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise InputError(f"'{path}' is a public key of another kind, Ed25519 was expected")
    return str(key.public_bytes_raw().hex())


def fingerprint(public: str) -> str:
    """A short name of a public key: the first 16 digits of its SHA-256."""
    return hashlib.sha256(bytes.fromhex(public)).hexdigest()[:16]


def _packages() -> tuple[Any, Any]:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise MissingPackageError("cryptography", "a signature", "parcel") from error
    return serialization, ed25519
