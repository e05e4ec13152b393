"""Whether a host of the fleet has the versions that the driver has: what is made of two versions
is no run of one host.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from portproof import backend as backends
from portproof.core.errors import InputError
from portproof.fleet.plan_file import PLACES
from portproof.target import find_target

#: What decides the bits of every step that a host may get.
_ALWAYS = ("numpy", "Pillow", "opencv-python-headless", "opencv-python")
#: What decides those of a PyTorch model.
_MODEL = ("torch", "torchvision", "timm", "transformers", "onnx", "onnxslim")


def deciding(place: str) -> tuple[str, ...]:
    """The distributions whose versions decide the bits at a place of the plan."""
    if place == "preprocess":
        return _ALWAYS
    if place in PLACES:
        return (*_ALWAYS, *_MODEL)
    target = find_target(place)
    own = backends.find(target.backend).PACKAGES
    # The bench of a processor times the reference too, in turn with the target.
    return (*_ALWAYS, *own, *(_MODEL if target.vendor == "cpu" else ()))


def make_probe() -> Callable[[tuple[str, ...]], dict[str, str]]:
    """A function that says what is on the host where it runs. It is made here and is no name of
    this module, so that Ray sends its code: on a host with another version, or without
    portproof, no name of ours need be there.
    """

    def probe(packages: tuple[str, ...]) -> dict[str, str]:
        import importlib.metadata
        import os
        import platform

        found = {"cpus": str(os.cpu_count()), "processor": platform.processor()}
        try:
            import portproof as here

            found["portproof"] = here.__version__
        except ImportError:
            pass
        for name in packages:
            try:
                found[name] = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                continue
        try:
            with open("/proc/cpuinfo", encoding="utf-8") as file:
                found["processor"] = next(
                    line.split(":", 1)[1].strip() for line in file if "model name" in line
                )
        except (OSError, StopIteration):
            pass
        return found

    return probe


def versions_here(place: str) -> dict[str, str]:
    """The same of the driver's host."""
    return make_probe()(deciding(place))


def refuse_others(
    host: str, there: Mapping[str, str], here: Mapping[str, str], packages: Iterable[str]
) -> None:
    """:class:`InputError` if a host has no portproof or another one, or another version of a
    package that both have.
    """
    if "portproof" not in there:
        raise InputError(
            f"portproof is not installed for the Python of Ray on {host}: install version"
            f" {here['portproof']} there, or take the host out of the cluster"
        )
    for name in ("portproof", *packages):
        if name in there and name in here and there[name] != here[name]:
            raise InputError(
                f"{host} has {name} {there[name]}, the driver has {here[name]}: what two versions"
                f" make is no run of one host; install the same version on both"
            )
