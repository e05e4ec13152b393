"""The console command: ``portproof NAME ...`` runs the stage file of that name.

Commands are found by name: a new runnable file in a stage folder is a new command, with nothing to register.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import portproof
from portproof.errors import EXIT_BAD_INPUT, say_error

STAGES = ("convert", "preprocess", "infer", "metrics", "reports")

#: Plain verbs, and the commands of the spine. Everything else is found by file name.
VERBS = {"export": "pth2onnx", "preprocess": "imagenet", "infer": "run"}
SPINE = ("port", "doctor", "schema", "why")

_RUNNABLE = '\nif __name__ == "__main__":'


def commands() -> dict[str, tuple[str, str]]:
    """Every command: name -> (module, first line of its docstring)."""
    found: dict[str, tuple[str, str]] = {}
    for module, path in _candidates():
        with open(path, encoding="utf-8") as file:
            source = file.read()
        if _RUNNABLE in source:
            name = os.path.basename(path).removesuffix(".py")
            found[name] = (module, source.lstrip('"').split("\n", 1)[0].rstrip('"').strip())
    return found


def _candidates() -> list[tuple[str, str]]:
    """(module, path) of each file that may be a command: the spine's own, then each stage folder's, sorted."""
    here = os.path.dirname(os.path.abspath(portproof.__file__))
    files = [(f"portproof.{name}", os.path.join(here, f"{name}.py")) for name in SPINE]
    for stage in STAGES:
        folder = next((os.path.join(p, stage) for p in portproof.__path__ if os.path.isdir(os.path.join(p, stage))), None)
        names = sorted(os.listdir(folder)) if folder else []
        files += [
            (f"portproof.{stage}.{n.removesuffix('.py')}", os.path.join(folder or "", n))
            for n in names
            if n.endswith(".py") and not n.startswith("_")
        ]
    return [(module, path) for module, path in files if os.path.isfile(path)]


def main(argv: list[str] | None = None) -> NoReturn:
    """Run one command; with no name, or ``--help``, list them."""
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
    runpy.run_module(table[name][0], run_name="__main__")
    sys.exit(0)


def _help() -> str:
    verbs = {module: verb for verb, module in VERBS.items()}
    rows = [(f"{name} ({verbs[name]})" if name in verbs else name, line) for name, (_, line) in commands().items()]
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
