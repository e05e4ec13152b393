"""Verify a parcel: unpacked into a folder of its own, then as any run directory."""

from __future__ import annotations

import tempfile
from pathlib import Path

from portproof.core.errors import InputError
from portproof.core.files import sha256_of
from portproof.proof.lineage import readable_stages
from portproof.reports.evidence.challenge import Asked
from portproof.reports.evidence.findings import changed
from portproof.reports.evidence.run_dir import Verification, verify
from portproof.reports.parcels.manifest import Manifest, Signature
from portproof.reports.parcels.open_parcel import unpack
from portproof.reports.parcels.signing import fingerprint, public_key
from portproof.reports.parcels.write_parcel import may_stay_behind
from portproof.reports.port.seal import REPORT


def verify_parcel(
    parcel: Path, most_bytes: int, signer: Path | None = None, asked: Asked | None = None
) -> tuple[list[str], Verification]:
    """Who signed the parcel, a line each, and what the verification finds. ``signer``: the public
    key that it must be signed with; :class:`InputError` if it is not, and as of
    :func:`portproof.reports.parcels.open_parcel.unpack`.
    """
    wanted = public_key(signer) if signer else None
    with tempfile.TemporaryDirectory(prefix="portproof-parcel-") as name:
        folder = Path(name)
        manifest, signature = unpack(parcel, folder, most_bytes)
        if wanted and (signature is None or signature.public_key != wanted):
            by = f"signed by {fingerprint(signature.public_key)}" if signature else "not signed"
            raise InputError(
                f"'{parcel}' is {by}, a signature of {fingerprint(wanted)} was expected: ask the"
                " sender which key was used"
            )
        # The manifest is the sender's: what may be missing is decided here.
        stages, _ = readable_stages(folder)
        found = verify(folder, asked, may_stay_behind(stages).intersection(manifest.left_out))
        if sha256_of(folder / REPORT) != manifest.report_sha256:
            found.changed.append(changed(REPORT, "it is not the report that the manifest names"))
    return _origin(manifest, signature, bool(wanted)), found


def _origin(manifest: Manifest, signature: Signature | None, known: bool) -> list[str]:
    claim = f"packed by {manifest.who or 'somebody'} at {manifest.when}"
    if signature is None:
        return [f"parcel: not signed; {claim}, which anybody could write"]
    whose = "the key that you gave" if known else "whose key it is, you must know"
    return [
        f"parcel: signed with the Ed25519 key {fingerprint(signature.public_key)}; {whose}",
        f"parcel: {claim}: the signer's claim",
    ]
