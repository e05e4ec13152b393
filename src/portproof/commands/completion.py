"""Print what makes a shell complete the commands and their options."""

from __future__ import annotations

import argparse

from portproof.core.arguments import Parser, run_stage


def parser() -> Parser:
    """The command line."""
    p = Parser(
        "Print a script that makes a shell complete 'portproof', its commands and their options.",
        example='eval "$(portproof completion bash)"',
    )
    p.add_argument("shell", choices=("bash", "zsh", "tcsh"), help="for which shell")
    return p


def work(options: argparse.Namespace) -> int:
    """Print the script; return the exit code."""
    import importlib
    from pathlib import PurePath

    from portproof.cli import commands
    from portproof.core import VERBS
    from portproof.core.errors import MissingPackageError

    try:
        import shtab
    except ImportError:
        raise MissingPackageError("shtab", "shell completion", "completion") from None
    whole = argparse.ArgumentParser("portproof")
    parts = whole.add_subparsers()
    spoken = {name: [name] for name in commands()}
    for verb, name in VERBS.items():
        spoken[name].append(verb)
    for name, path in commands().items():
        room = PurePath(path).parent.name
        own = importlib.import_module(f"portproof.{room}.{name}").parser()
        for word in spoken[name]:
            parts.add_parser(word, parents=[own], add_help=False, help=own.description)
    print(shtab.complete(whole, options.shell))
    return 0


if __name__ == "__main__":
    run_stage(parser, work)
