"""Run a port: the lock, the steps one after the other, and the verdict at the end."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

from portproof.core import progress
from portproof.core.errors import (
    EXIT_BAD_INPUT,
    EXIT_DONE,
    EXIT_TOOL,
    EXIT_UNDECIDED,
    InputError,
)
from portproof.core.files import existing_folder, write_text
from portproof.core.interrupts import EXIT_INTERRUPTED
from portproof.core.shell import (
    TOOLS,
    interrupted_by_sigterm,
    own_environment,
    start_program,
    stop_like_ctrl_c,
)
from portproof.proof.lock import locked
from portproof.rehearsal import MARK
from portproof.rehearsal.installing import install
from portproof.rundir.answers import cannot_be_made_here, kept_from_elsewhere
from portproof.rundir.gates import judge, worst
from portproof.rundir.handover import instructions
from portproof.rundir.layout import RunDir, vendor_of
from portproof.rundir.options import default_run_dir, marked, settings_from
from portproof.rundir.plan import steps, task_of
from portproof.rundir.relay import Relay
from portproof.rundir.settings import write_settings
from portproof.rundir.step import Step
from portproof.target import find_target


def port(
    options: argparse.Namespace,
    runner_of: Callable[[RunDir, int, argparse.Namespace], Runner] | None = None,
) -> int:
    """Run or continue a port; returns the exit code of its verdict. ``runner_of`` makes the runner
    of its steps from the run directory, the descriptor of its lock, and the options.
    """
    root = marked((options.run_dir or default_run_dir(options)).absolute(), options.rehearse)
    run = RunDir(root, settings_from(options, root))
    baseline = existing_folder(options.against, "baseline").absolute() if options.against else None
    with locked(root) as lock:
        write_settings(root, run.settings)
        for sentence in task_of(run).begin(run):
            progress.say(f"port: {sentence}")
        started = time.monotonic()
        runner = (runner_of or Runner)(run, lock, options)
        code = runner.run_all(steps(run, options.workers, baseline))
        for sentence in runner.relay.summary():
            progress.say(f"port: {sentence}")
        if runner.lacking:
            print(instructions(run, runner.lacking))
            return EXIT_UNDECIDED
        if code not in (EXIT_DONE, EXIT_TOOL):
            return code
        verdict = judge(run, failed=code == EXIT_TOOL)
        exit_code = worst([verdict.exit_code, *runner.judged])
    print(verdict.text)
    print(f"report: {root / run.readme('en')}")
    progress.say(f"port: finished in {time.monotonic() - started:.0f} s")
    if options.rehearse:
        print(f"{MARK}: the device and its tools were simulated, nothing was measured", flush=True)
    return exit_code


class Runner:
    """Runs steps, each as a process of its own, so that none disturbs the next one's clock."""

    def __init__(self, run: RunDir, lock: int, options: argparse.Namespace) -> None:
        self.run, self.lock = run, lock
        #: The program of a device that this host lacks: the rest of the port is for another host.
        self.lacking = ""
        flags = {"--quiet": options.quiet, "--log-json": options.log_json}
        self.flags = [flag for flag, on in flags.items() if on]
        #: What the steps that judge the run against a baseline left with.
        self.judged: list[int] = []
        self.relay = Relay()
        self.environment = {TOOLS: os.getcwd(), **self.relay.environment, **own_environment()}

    def run_all(self, plan: Iterator[Step]) -> int:
        """Run all steps: 0, the code of a step that ended the port, or 3 when a tool failed and the
        reports were written all the same.
        """
        failed = False
        for step in plan:
            if failed and not step.reports:
                continue
            if self._is_for_another_host(step):
                return EXIT_UNDECIDED
            code = self._run(step)
            if step.decides:
                self.judged.append(code)
            if code in step.accepted or (failed and step.reports):
                continue
            if code != EXIT_TOOL:
                return code if code > 0 else EXIT_TOOL
            failed = True
        return EXIT_TOOL if failed else EXIT_DONE

    def _run(self, step: Step) -> int:
        if self._is_kept(step):
            return EXIT_DONE
        code, output = self._executed(step)
        write_text(self.run.root / self.run.log(step.name), f"$ {step.spelled}\n{output}")
        if step.show and code != EXIT_BAD_INPUT:
            print(output, flush=True)
        if code == EXIT_INTERRUPTED:
            raise KeyboardInterrupt
        if code not in step.accepted:
            progress.warn(f"the step '{step.name}' ended with exit code {code}: {step.spelled}")
        return code

    def _is_kept(self, step: Step) -> bool:
        """Whether what the step makes was made elsewhere and stays; :class:`InputError` if it must
        be made again and cannot be here.
        """
        lacking = kept_from_elsewhere(step, self.run.root)
        if lacking:
            made = ", ".join(step.makes)
            progress.say(
                f"{step.name}: {made} is kept as it was made elsewhere, since {lacking} is not on"
                " this host"
            )
        elif sentence := cannot_be_made_here(step, self.run.root):
            raise InputError(sentence)
        return bool(lacking)

    def _is_for_another_host(self, step: Step) -> bool:
        """Whether the step needs a device whose programs are not here."""
        if step.needs and not self.run.settings.rehearse:
            self.lacking = vendor_of(find_target(step.needs)).lacking()
        return bool(self.lacking)

    def _executed(self, step: Step) -> tuple[int, str]:
        """The exit code, and what it printed."""
        with self.relay.writing_end() as stderr, interrupted_by_sigterm():
            process = start_program(
                [sys.executable, *step.argv, *self.flags],
                held=True,
                cwd=self.run.root,
                env=self._environment(step),
                stdout=subprocess.PIPE,
                stderr=stderr,
                stdin=subprocess.DEVNULL,
                text=True,
                errors="replace",
                pass_fds=(self.lock,),
            )
            try:
                output, _ = process.communicate()
            except BaseException:
                stop_like_ctrl_c([process])
                raise
        return process.returncode, output

    def _environment(self, step: Step) -> dict[str, str]:
        """A rehearsal's steps find the simulated programs first; what is made before a device is
        needed is marked all the same.
        """
        if not self.run.settings.rehearse:
            return self.environment
        target = find_target(step.needs) if step.needs else None
        soc_version, chips = (target.soc_version, target.chips_per_card) if target else (None, None)
        folder = self.run.root / self.run.rehearsal
        return install(folder, soc_version or "", self.environment, chips)
