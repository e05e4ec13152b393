"""Run a port: the lock, the steps one after the other, and the verdict at the end."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec

import portproof
from portproof import rehearsal
from portproof.card import find_card, read_card
from portproof.core import progress
from portproof.core.errors import EXIT_BAD_INPUT, EXIT_DONE, EXIT_INTERRUPTED, EXIT_TOOL, InputError
from portproof.core.files import existing_file, existing_folder, write_text
from portproof.core.shell import TOOLS
from portproof.core.yamlfile import data_folder
from portproof.rehearsal.installing import install
from portproof.rundir.elsewhere import made_elsewhere
from portproof.rundir.gates import judge
from portproof.rundir.lock import locked
from portproof.rundir.plan import steps
from portproof.rundir.settings import FILE, Settings, read_settings, write_settings
from portproof.rundir.step import Step
from portproof.target import find_target

DEFAULT_BATCHES = (1, 4, 8, 16, 32)
_NEEDED = ("model", "weights", "images", "labels")


def port(options: argparse.Namespace) -> int:
    """Run or continue a port; returns the exit code of its verdict."""
    run_dir = marked((options.run_dir or default_run_dir(options)).absolute(), options.rehearse)
    settings = settings_from(options, run_dir)
    with locked(run_dir) as lock:
        write_settings(run_dir, settings)
        started = time.monotonic()
        code = Runner(run_dir, lock, options, settings).run(
            steps(settings, run_dir, options.workers)
        )
        if code not in (EXIT_DONE, EXIT_TOOL):
            return code
        verdict = judge(run_dir, settings, failed=code == EXIT_TOOL)
    print(verdict.text)
    print(f"report: {run_dir / 'report' / 'README.md'}")
    progress.say(f"port: finished in {time.monotonic() - started:.0f} s")
    return verdict.exit_code


def default_run_dir(options: argparse.Namespace) -> Path:
    """``runs/<model>-<targets>`` in the working directory."""
    name = Path(options.model.replace(":", "-")).stem if options.model else "digits"
    return Path("runs", f"{name}-{'-'.join(options.target)}")


def marked(run_dir: Path, rehearse: bool) -> Path:
    """The run directory; a rehearsal's says so in its name, and a rehearsal's is not used for
    anything else.
    """
    if rehearse:
        return (
            run_dir
            if rehearsal.MARK in run_dir.name
            else run_dir.with_name(f"{run_dir.name}-{rehearsal.MARK}")
        )
    if rehearsal.MARK in run_dir.name:
        raise InputError(
            f"'{run_dir}' is the run directory of a rehearsal: give another --run-dir, or"
            " --rehearse"
        )
    return run_dir


def settings_from(options: argparse.Namespace, run_dir: Path) -> Settings:
    """The settings that the options ask for: a user's model, the port that the run directory holds,
    or without either the demonstration.
    """
    chosen = {
        "margin_pp": options.margin_pp,
        "runner": options.runner,
        "devices": tuple(options.devices or ()),
        "tune": options.tune,
        "batches": tuple(options.batch or ()),
    }
    common: dict[str, Any] = {name: value for name, value in chosen.items() if value}
    common |= {
        "targets": tuple(find_target(t).name for t in options.target),
        "rehearse": options.rehearse,
        "gate": options.gate,
    }
    given: dict[str, Any] = {
        name: _absolute(name, getattr(options, name)) for name in _NEEDED if getattr(options, name)
    }
    held = read_settings(run_dir) if (run_dir / FILE).is_file() else None
    if held and (set(given) == {"labels"} if held.demonstration else len(given) < len(_NEEDED)):
        # Begun elsewhere: what was given there is in the run directory, and may not be on this
        # host.
        return msgspec.structs.replace(held, **common, **given)
    if not given:
        card = data_folder("examples") / "digits" / "digits.yaml"
        return Settings(
            model=str(card),
            weights="weights.pth",
            images="data/val",
            labels="data/val_label.txt",
            demonstration=True,
            **{"batches": DEFAULT_BATCHES} | common,
        )
    missing = [f"--{name}" for name in _NEEDED if name not in given]
    if missing:
        raise InputError(
            f"{' and '.join(missing)} must be given too (or none of"
            f" {', '.join('--' + n for n in _NEEDED)}, for the demonstration)"
        )
    existing_folder(options.images, "--images")
    existing_file(options.labels, "--labels")
    return Settings(**{"batches": card_batches(options.model)} | given | common)


def _absolute(name: str, value: str) -> str:
    return absolute_card(value) if name == "model" else os.path.abspath(value)


def card_batches(card: str) -> tuple[int, ...]:
    """The batch sizes that a model card names; the usual ones for a model without a card file."""
    if ":" in card:
        return DEFAULT_BATCHES
    return read_card(find_card(card)).batches


def absolute_card(card: str) -> str:
    """A card that is a path, made absolute, because the steps run in the run directory; a name
    stays a name.
    """
    path, colon, function = card.rpartition(":")
    if colon and path.endswith(".py"):
        return f"{os.path.abspath(path)}:{function}"
    return os.path.abspath(card) if card.endswith((".yaml", ".yml")) else card


class Runner:
    """Runs steps in a run directory, each as a process of its own, so that no runtime disturbs the
    next one's clock.
    """

    def __init__(
        self, run_dir: Path, lock: int, options: argparse.Namespace, settings: Settings
    ) -> None:
        self.run_dir, self.lock = run_dir, lock
        self.flags = [
            flag
            for flag, on in (("--quiet", options.quiet), ("--log-json", options.log_json))
            if on
        ]
        source = os.path.dirname(os.path.dirname(os.path.abspath(portproof.__file__)))
        path = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))
        self.environment = {TOOLS: os.getcwd()} | os.environ | {"PYTHONPATH": path}
        self.rehearse = settings.rehearse

    def run(self, plan: Iterator[Step]) -> int:
        """Run all steps: 0, the code of a step that ended the port, or 3 when a tool failed and the
        reports were written all the same.
        """
        failed = False
        for step in plan:
            if failed and not step.reports:
                continue
            code = self._run(step)
            if code in step.accepted or (failed and step.reports):
                continue
            if code != EXIT_TOOL:
                return code if code > 0 else EXIT_TOOL
            failed = True
        return EXIT_TOOL if failed else EXIT_DONE

    def _environment(self, step: Step) -> dict[str, str]:
        """A rehearsal's steps find the simulated programs first; what is made before a device is
        needed is marked all the same.
        """
        if not self.rehearse:
            return self.environment
        soc_version = find_target(step.target).soc_version if step.target else None
        return install(self.run_dir / ".rehearsal", soc_version or "", self.environment)

    def _run(self, step: Step) -> int:
        if made_elsewhere(step, self.run_dir):
            return EXIT_DONE
        first = (
            [step.command] if step.command.endswith(".py") else ["-m", "portproof", step.command]
        )
        command = [sys.executable, *first, *step.arguments, *self.flags]
        with _terminated_like_interrupted():
            process = subprocess.Popen(
                command,
                cwd=self.run_dir,
                env=self._environment(step),
                stdout=subprocess.PIPE,
                stdin=subprocess.DEVNULL,
                text=True,
                errors="replace",
                pass_fds=(self.lock,),
            )
            try:
                output, _ = process.communicate()
            except BaseException:
                _stop(process)
                raise
        write_text(
            self.run_dir / "logs" / f"{step.name.replace(' ', '_')}.log",
            f"$ {spelled(step)}\n{output}",
        )
        if step.show and process.returncode != EXIT_BAD_INPUT:
            print(output, flush=True)
        if process.returncode == EXIT_INTERRUPTED:
            raise KeyboardInterrupt
        if process.returncode not in step.accepted:
            progress.warn(
                f"the step '{step.name}' ended with exit code {process.returncode}: {spelled(step)}"
            )
        return process.returncode


def spelled(step: Step) -> str:
    """A step as a user would type it in the run directory."""
    import shlex

    first = (
        ["python", step.command] if step.command.endswith(".py") else ["portproof", step.command]
    )
    return shlex.join([*first, *step.arguments])


def _stop(process: subprocess.Popen[str]) -> None:
    """End a step as Ctrl-C does, so that it leaves a state from which it continues; kill it only
    when it does not listen.
    """
    process.send_signal(signal.SIGINT)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """SIGTERM stops the running step too, instead of leaving it behind."""

    def raise_interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, raise_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
