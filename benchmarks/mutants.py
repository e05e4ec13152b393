"""Change the judging modules, one small change at a time, and see whether the fast tests notice.

Each mutant is one change of one line: a comparison, a sign, a constant, a condition, a call that is
left out. It runs in a copy of the checkout, in a process of its own: first the tests that reach the
line, then, if these pass, all tests of the module that are not marked slow. ``killed``: a test
failed, or nothing ended in time. Survivors are printed with their line; one that changes nothing
that can be seen stands in ``EQUIVALENT`` with the reason, and is not counted. Which tests reach a
line is measured with the package ``coverage`` (``pip install coverage``).

Example: ``python benchmarks/mutants.py --count 300 --out benchmarks/results/mutants.md``
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

sys.path.insert(1, str(Path(__file__).resolve().parent))

from mutants_judges import EQUIVALENT, JUDGES
from mutants_made import Mutant, mutants_of

ROOT = Path(__file__).resolve().parents[1]

_EXAMPLES = "tests/project/test_quality.py::test_doctests"
#: A mutant that runs so many times longer than the tests do is taken for one that never ends.
_PATIENCE, _LEAST_SECONDS = 5.0, 60.0

#: A server in a copy: every job is a fork of it, so that packages are imported once.
_SERVER = """
import json, os, signal, sys, time
import coverage, hypothesis, numpy, onnx, onnxruntime, pytest, scipy.stats

def job(asked):
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    out = os.open(asked["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1), os.dup2(out, 2)
    options = ["-q", "-m", "not slow", "-p", "no:cacheprovider"]
    if not asked["module"]:
        return pytest.main([*options, "-x", *asked["tests"]])
    measured, took = coverage.Coverage(data_file=None, include=[asked["module"]]), {}
    class Contexts:
        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_protocol(self, item):
            measured.switch_context(item.nodeid)
            began = time.monotonic()
            try:
                return (yield)
            finally:
                name = item.nodeid.partition("::")[0]
                took[name] = took.get(name, 0.0) + time.monotonic() - began
    measured.start()
    code = pytest.main([*options, *asked["tests"]], [Contexts()])
    measured.stop()
    data = measured.get_data()
    lines = {n: v for f in data.measured_files() for n, v in data.contexts_by_lineno(f).items()}
    with open(asked["found"], "w") as out:
        # Files in which tests take long come last: most mutants are killed before.
        first = lambda test: took[test.partition("::")[0]]
        json.dump({n: sorted(filter(None, v), key=first) for n, v in lines.items()}, out)
    return code

for line in sys.stdin:
    asked, began = json.loads(line), time.monotonic()
    child = os.fork()
    if not child:
        os._exit(int(job(asked)))
    ended, status = 0, signal.SIGKILL
    while not ended and time.monotonic() - began < asked["limit"]:
        time.sleep(0.01)
        ended, status = os.waitpid(child, os.WNOHANG)
    if not ended:
        os.killpg(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
    print(os.waitstatus_to_exitcode(status), flush=True)
"""


@dataclass(frozen=True)
class Judged:
    """What became of a mutant: ``by``: the first test that failed, or None."""

    mutant: Mutant
    by: str | None
    reached: int


def main() -> None:
    """Make the mutants, run them, print and write the table."""
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--count", type=int, default=300, help="mutants of all modules (default: 300)")
    p.add_argument("--seed", type=int, default=1, help="which of all possible ones (default: 1)")
    p.add_argument("--module", default="", help="only modules whose path holds this")
    p.add_argument("--workers", type=int, default=2, help="mutants at once (default: 2)")
    p.add_argument("--out", type=Path, help="write the page here")
    options = p.parse_args()
    judges = {m: [*t.split(), *examples(m)] for m, t in JUDGES.items() if options.module in m}
    chosen = drawn(judges, options.count, options.seed)
    with (
        tempfile.TemporaryDirectory() as place,
        checkouts(Path(place), options.workers) as free,
        ThreadPoolExecutor(options.workers) as pool,
    ):
        measured = pool.map(lambda m: baseline(free, m, judges[m]), judges)
        baselines = dict(zip(judges, measured, strict=True))
        judged = list(pool.map(lambda m: judge(free, m, baselines[m.module]), chosen))
    text = page(judged, options)
    print(text)
    if options.out:
        options.out.write_text(text)


def examples(module: str) -> list[str]:
    """The test that runs the examples of a module's docstrings, where there are any."""
    name = "portproof." + module.removeprefix("src/portproof/")[:-3].replace("/", ".")
    has = ">>> " in (ROOT / module).read_text()
    return [f"{_EXAMPLES}[{name}]"] if has else []


def drawn(judges: dict[str, list[str]], count: int, seed: int) -> list[Mutant]:
    """Mutants drawn from all, each as likely as another; in the order of the modules."""
    every = [m for module in judges for m in mutants_of(module, (ROOT / module).read_text())]
    known = [m for m in every if (m.module, m.before.strip(), m.became) not in EQUIVALENT]
    rng = random.Random(seed)  # nosec B311 - which mutants, no secrets
    taken = rng.sample(range(len(known)), min(count, len(known)))
    return [known[i] for i in sorted(taken)]


class Checkout:
    """A copy of what git knows or would add, to be changed, and its server."""

    def __init__(self, path: Path, listed: Sequence[str]) -> None:
        self.path = path
        for name in listed:
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, path / name)
        for built in (ROOT / "preprocess/pixels/native").glob("*.so"):
            shutil.copy(built, path / built.relative_to(ROOT))
        (path.parent / "shared").symlink_to(ROOT.parent / "shared")
        self._server = subprocess.Popen(
            [sys.executable, "-c", _SERVER],
            cwd=path,
            env=os.environ | {"PYTHONPATH": str(path / "src"), "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(
        self, tests: Sequence[str], limit: float, module: str = "", found: str = ""
    ) -> tuple[int, str]:
        """Exit code and output of the tests; -9 if they took longer than ``limit`` seconds.
        ``found``: a file for the tests that reach each line of ``module``.
        """
        out = self.path.with_name("out")
        asked = {"tests": [*tests], "limit": limit, "module": module, "found": found}
        server = self._server
        assert server.stdin and server.stdout
        print(json.dumps(asked | {"out": str(out)}), file=server.stdin, flush=True)
        return int(server.stdout.readline()), out.read_text(errors="replace")

    def close(self) -> None:
        """End the server."""
        self._server.communicate()


@contextlib.contextmanager
def checkouts(place: Path, count: int) -> Iterator[Queue[Checkout]]:
    """So many copies."""
    words = [shutil.which("git") or "git", *["ls-files", "-z", "-c", "-o", "--exclude-standard"]]
    listed = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = [n for n in listed.split("\0") if n]
    copies = [Checkout(place / str(i) / "main", names) for i in range(count)]
    free: Queue[Checkout] = Queue()
    for each in copies:
        free.put(each)
    yield free
    for each in copies:
        each.close()


@contextlib.contextmanager
def borrowed(free: Queue[Checkout]) -> Iterator[Checkout]:
    """A copy that no other thread uses."""
    copy = free.get()
    try:
        yield copy
    finally:
        free.put(copy)


@dataclass(frozen=True)
class Baseline:
    """Tests of a module that pass, which of them reach each line, and how long they take."""

    tests: Sequence[str]
    reaching: dict[int, list[str]]
    seconds: float


def baseline(free: Queue[Checkout], module: str, tests: Sequence[str]) -> Baseline:
    """Run the tests on the module as it is. They must pass."""
    with borrowed(free) as copy:
        found, began = copy.path.with_name("reached.json"), time.monotonic()
        code, text = copy.run(tests, 900.0, str(copy.path / module), str(found))
        if code != 0:
            raise SystemExit(f"the tests of {module} fail without a change:\n{text[-2000:]}")
        reaching = {int(n): v for n, v in json.loads(found.read_text()).items()}
        found.unlink()
    seconds = time.monotonic() - began
    count = len({t for v in reaching.values() for t in v})
    print(f"{module}: {count} tests, {seconds:.0f} s", flush=True)
    return Baseline(tests, reaching, seconds)


def judge(free: Queue[Checkout], mutant: Mutant, base: Baseline) -> Judged:
    """Run a mutant's tests until one fails."""
    reaching = [t for n in range(mutant.line, mutant.last + 1) for t in base.reaching.get(n, [])]
    reaching = list(dict.fromkeys(reaching))
    patience = max(_LEAST_SECONDS, _PATIENCE * base.seconds)
    with borrowed(free) as copy:
        path = copy.path / mutant.module
        before = path.read_text()
        path.write_text(mutant.source)
        try:
            by = None
            for tests in (reaching[:200], base.tests):
                code, text = copy.run(tests, patience) if tests else (0, "")
                if code != 0:
                    by = _failed(code, text)
                    break
        finally:
            path.write_text(before)
    judged = Judged(mutant, by, len(reaching))
    print(f"{'killed' if by else 'ALIVE'} {mutant.title}" + (f" by {by}" if by else ""), flush=True)
    return judged


def _failed(code: int, text: str) -> str:
    if code == -signal.SIGKILL:
        return "the time limit"
    failed = [line.split()[1] for line in text.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return failed[0].rpartition("/")[2][:100] if failed else f"exit code {code}"


def page(judged: Sequence[Judged], options: argparse.Namespace) -> str:
    """The counts by module and the survivors."""
    killed = sum(j.by is not None for j in judged)
    lines = [
        "# Mutants of the judging modules",
        "",
        f"`python benchmarks/mutants.py --count {options.count} --seed {options.seed}`,"
        f" {time.strftime('%Y-%m-%d')}, Python {platform.python_version()}.",
        "",
        f"**{killed} of {len(judged)} killed ({100 * killed / max(len(judged), 1):.1f} %)** by the"
        f" tests that are not marked slow. {len(EQUIVALENT)} mutants that change nothing were taken"
        " out before the draw; `EQUIVALENT` in the script says why for each.",
        "",
        "| module | mutants | killed |",
        "|---|---|---|",
    ]
    for module in dict.fromkeys(j.mutant.module for j in judged):
        own = [j for j in judged if j.mutant.module == module]
        lines.append(f"| `{module}` | {len(own)} | {sum(j.by is not None for j in own)} |")
    lines += ["", "## Survivors", ""]
    lines += [f"- {j.mutant.title}" for j in judged if j.by is None] or ["None."]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
