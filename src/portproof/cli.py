"""The console command: ``portproof NAME ...`` runs the stage file of that name.

Commands are found by name: a new runnable file in a stage folder is a new command, with nothing to
register.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import portproof
from portproof.core import STAGES, VERBS
from portproof.core.errors import (
    EXIT_BAD_INPUT,
    open_standard_streams,
    say_error,
)
from portproof.core.interrupts import catch_interrupts


def commands() -> dict[str, str]:
    """Every command: name -> path of its file. Every file at the top of a stage's folder is a
    command, and so is a file of ``commands``.
    """
    folders = [
        os.path.join(base, name) for name in ("commands", *STAGES) for base in portproof.__path__
    ]
    files = [
        os.path.join(folder, name)
        for folder in folders
        if os.path.isdir(folder)
        for name in sorted(os.listdir(folder))
    ]
    return {
        os.path.basename(path).removesuffix(".py"): path
        for path in files
        if path.endswith(".py") and not path.endswith("__init__.py")
    }


def main(argv: list[str] | None = None) -> NoReturn:
    """Run one command; with no name, or ``--help``, list them."""
    catch_interrupts()
    open_standard_streams()
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_help())
        sys.exit(0 if arguments else EXIT_BAD_INPUT)
    if arguments[0] in ("--version", "-V"):
        print(f"portproof {portproof.__version__}")
        sys.exit(0)
    name = VERBS.get(arguments[0], arguments[0])
    table = commands()
    if name not in table:
        say_error(f"there is no command '{arguments[0]}'; 'portproof --help' lists them")
        sys.exit(EXIT_BAD_INPUT)
    import runpy

    sys.argv = [f"portproof {arguments[0]}", *arguments[1:]]
    runpy.run_module(
        f"portproof.{os.path.basename(os.path.dirname(table[name]))}.{name}", run_name="__main__"
    )
    sys.exit(0)


def _help() -> str:
    verbs = {module: verb for verb, module in VERBS.items()}
    rows = [
        (f"{name} ({verbs[name]})" if name in verbs else name, _summary(path))
        for name, path in commands().items()
    ]
    width = max(len(name) for name, _ in rows)
    lines = [f"  {name:<{width}}  {line}" for name, line in rows]
    return "\n".join(
        [
            "usage: portproof NAME [options]   ('portproof NAME --help' explains one)",
            "",
            *lines,
            "",
            "example:",
            "  portproof port --target cpu",
        ]
    )


def _summary(path: str) -> str:
    """The first paragraph of a file's docstring, on one line."""
    import ast

    with open(path, encoding="utf-8") as file:
        text = ast.get_docstring(ast.parse(file.read())) or ""
    return " ".join(text.partition("\n\n")[0].split())
