"""The flags with which a vendor tool runs a dynamic model: one that was converted with gears, a
choice of batches, image sizes, dimensions or shapes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from portproof.convert.ascend.om_facts import OmFacts
from portproof.core.errors import InputError

#: The options, as the backend ``om`` has them -> the flag of ais_bench and msame.
_FLAGS = {"batch": "--dymBatch", "hw": "--dymHW", "dims": "--dymDims", "shape": "--dymShape"}
_OUTSIZE = "outsize"


def gear_flags(
    model: Path, facts: OmFacts | None, batch: int, options: Mapping[str, str]
) -> tuple[str, ...]:
    """The flags. That a model has gears of batches is known from its sidecar; for a model without
    one, the option ``batch`` says so.

    Raises :class:`InputError` for an unknown option, for two gears at once, and for a dynamic model
    without a gear.
    """
    unknown = sorted(set(options) - {*_FLAGS, _OUTSIZE})
    if unknown:
        raise InputError(
            f"the vendor tools have no option '{unknown[0]}' here; there are"
            f" {', '.join([*_FLAGS, _OUTSIZE])}"
        )
    chosen = {name: options[name] for name in _FLAGS if name in options}
    if facts and facts.gears == "batch":
        chosen.setdefault("batch", str(batch))
    if len(chosen) > 1:
        raise InputError(f"of the options {', '.join(_FLAGS)} only one can be given")
    if chosen.get("batch", str(batch)) != str(batch):
        raise InputError(
            f"the option batch is {chosen['batch']}, --batch is {batch}; they must agree"
        )
    if facts and facts.gears != "static" and facts.gears not in chosen:
        raise InputError(
            f"'{model}' was converted with a choice ({facts.gears}): choose one of those that atc"
            f" was given with --option {facts.gears}=..."
        )
    if facts and facts.gears == "static" and chosen:
        raise InputError(
            f"'{model}' was converted without a choice; leave --option {next(iter(chosen))} out"
        )
    _check_batch_of(chosen, batch)
    sizes = ("--outputSize", options[_OUTSIZE]) if _OUTSIZE in options else ()
    if facts and facts.gears == "shape" and not sizes:
        bytes_ = [spec.nbytes(batch) for spec in facts.outputs or ()]
        if not bytes_ or None in bytes_:
            raise InputError(
                f"'{model}' takes any shape of its range: the tools need the bytes of each output,"
                f" --option {_OUTSIZE}=N,N"
            )
        sizes = ("--outputSize", ",".join(map(str, bytes_)))
    return (*(word for name, value in chosen.items() for word in (_FLAGS[name], value)), *sizes)


def _check_batch_of(chosen: Mapping[str, str], batch: int) -> None:
    """:class:`InputError` unless the dimensions or the shape chosen begin with the batch."""
    for name in ("dims", "shape"):
        first = chosen.get(name, "").partition(";")[0].rpartition(":")[2].partition(",")[0].strip()
        if name in chosen and first != str(batch):
            raise InputError(
                f"the option {name} is '{chosen[name]}', --batch is {batch}: its first dimension"
                " must be the batch"
            )
