"""Packaging: the stage folders at the top of the checkout become sub-packages of ``portproof``.

Metadata and tool settings are in ``pyproject.toml``; only the folder mapping, which depends on
what is on disk, is computed here.
"""

from __future__ import annotations

from pathlib import Path

from setuptools import setup

STAGES = ("convert", "preprocess", "infer", "metrics", "reports")
DATA = ("catalog", "examples")


def packages() -> dict[str, str]:
    """Package name -> folder, for the spine, the stages, and the data folders that are installed
    with them.
    """
    found = {"portproof": "src/portproof"}
    for folder in Path("src/portproof").rglob("*"):
        if (folder / "__init__.py").is_file():
            found["portproof." + ".".join(folder.relative_to("src/portproof").parts)] = (
                folder.as_posix()
            )
    for stage in STAGES:
        for folder in (Path(stage), *Path(stage).rglob("*")):
            if (folder / "__init__.py").is_file():
                found["portproof." + ".".join(folder.parts)] = folder.as_posix()
    found |= {f"portproof.{name}": name for name in DATA if Path(name).is_dir()}
    return found


PACKAGES = packages()
setup(
    packages=sorted(PACKAGES),
    package_dir=PACKAGES,
    package_data={
        "portproof": ["py.typed"],
        "portproof.catalog": ["*/*.yaml", "suites/models/*", "suites/engines/*/*"],
        "portproof.preprocess.pixels.native": ["*.c", "*.h"],
        "portproof.infer.offline.native": ["*.c", "*.h"],
        "portproof.metrics.accuracy.native": ["*.c"],
        "portproof.examples": ["**/*"],
        "portproof.reports.port": ["templates/*"],
        "portproof.reports.zoo": ["*.sh"],
    },
)
