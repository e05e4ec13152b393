"""The judging modules that ``mutants.py`` changes, their tests, and changes that change nothing."""

from __future__ import annotations

#: Judging module -> the tests that are held against it.
JUDGES = {
    "src/portproof/policy.py": "tests/portproof/test_policy.py",
    "src/portproof/outcome.py": "tests/portproof/test_outcome.py tests/metrics/accuracy",
    "src/portproof/rundir/gates.py": "tests/portproof/rundir/test_gates.py",
    "src/portproof/proof/freshness.py": "tests/portproof/proof tests/portproof/rundir/test_why.py",
    "src/portproof/proof/journal.py": "tests/portproof/proof tests/infer/offline",
    "src/portproof/proof/sidecar.py": "tests/portproof/proof",
    "src/portproof/proof/work.py": "tests/portproof/proof tests/infer/offline",
    "infer/timing/speed_ratio.py": "tests/infer/timing/test_speed_ratio.py",
    "infer/timing/steady.py": "tests/infer/timing/test_steady.py",
    "infer/timing/answers/judge.py": "tests/infer/timing/answers",
    "infer/timing/answers/tolerances.py": "tests/infer/timing/answers",
    "metrics/accuracy/row_counts.py": "tests/metrics/accuracy",
    "metrics/accuracy/score.py": "tests/metrics/accuracy tests/metrics/paired",
    "metrics/accuracy/results.py": "tests/metrics/accuracy",
    "metrics/paired/bounds.py": "tests/metrics/paired",
    "metrics/paired/compare.py": "tests/metrics/paired",
    "metrics/paired/doubt.py": "tests/metrics/paired",
    "metrics/paired/influence.py": "tests/metrics/paired",
    "metrics/paired/losses.py": "tests/metrics/paired",
    "metrics/paired/spread.py": "tests/metrics/paired",
    "metrics/outputs/judge.py": "tests/metrics/outputs",
    "metrics/outputs/ruler.py": "tests/metrics/outputs",
    "reports/over_time/against.py": "tests/reports/over_time",
    "reports/over_time/repeated_times.py": "tests/reports/over_time",
    "reports/claims/agreement.py": "tests/reports/claims",
}

#: (module, line of code, what it became) -> why no test can see the difference.
EQUIVALENT: dict[tuple[str, str, str], str] = {
    (
        "metrics/paired/losses.py",
        'what = f"not above chance ({figure.text(chance)})" if sign > 0 else'
        ' "not better than chance"',
        "sign >= 0",
    ): "the sign is 1 or -1",
    (
        "metrics/outputs/judge.py",
        "if low is None or high is None:",
        "low is None and high is None",
    ): "both are None or none is: the second is for the type checker",
    (
        "metrics/paired/bounds.py",
        "if _score(more, less, n, middle, continuity if middle < 0 else 0.0) > -z:",
        "middle <= 0",
    ): "the middle is 0 only where every sample broke, and the bound is 0 either way",
    (
        "metrics/paired/bounds.py",
        "nuisance = (root - b) / (2 * a) if b < 0 else -2 * c / (root + b) if c else 0.0",
        "1",
    ): "b < 1 instead of b < 0: the other way to write the root, which differs in the last digits",
    (
        "metrics/paired/bounds.py",
        "low, high = (more - less) / n, 1.0",
        "2.0",
    ): "the same root, looked for between ends farther apart",
    (
        "metrics/paired/bounds.py",
        "nuisance = (root - b) / (2 * a) if b < 0 else -2 * c / (root + b) if c else 0.0",
        "b <= 0",
    ): "the two ways to write the root are equal where b is 0",
    (
        "src/portproof/proof/freshness.py",
        "if _changed_output(proof, root, paranoid=False):",
        "True",
    ): "reads and hashes what need not be read: slower, the same answer",
    (
        "src/portproof/proof/journal.py",
        "return {}, False",
        "True",
    ): "a journal without records has nothing to keep, whichever run it is of",
    (
        "infer/timing/steady.py",
        "if abs(drift) > DRIFT and chance < SIGNIFICANCE:",
        "abs(drift) >= DRIFT",
    ): "no measurement has exactly this drift",
    (
        "infer/timing/steady.py",
        "slope = sum((i - centre) * (y - mean) for i, y in enumerate(logs)) / square",
        "y + mean",
    ): "the sum of i - centre is 0, whatever is added to y",
    (
        "src/portproof/policy.py",
        "holds = measured_percent >= required - 1e-9",
        "measured_percent > required - 1e-09",
    ): "no accuracy, a fraction of whole numbers, is a billionth under its limit",
    (
        "src/portproof/outcome.py",
        "_TOGETHER = 1 << 14",
        "15",
    ): "how many rows are held at once; the file is the same",
    (
        "infer/timing/steady.py",
        "slope = sum((i - centre) * (y - mean) for i, y in enumerate(logs)) / square",
        "i + centre",
    ): "the sum of y - mean is 0, whatever is added to i",
    (
        "infer/timing/steady.py",
        "if abs(drift) > DRIFT and chance < SIGNIFICANCE:",
        "chance <= SIGNIFICANCE",
    ): "no measurement has exactly this probability",
    (
        "src/portproof/proof/freshness.py",
        "def difference(record: FileRecord, path: Path, paranoid: bool = False) -> str | None:",
        "True",
    ): "reads and hashes what need not be read: slower, the same answer",
    (
        "src/portproof/policy.py",
        "holds = measured_percent >= required - 1e-9",
        "2e-09",
    ): "no accuracy, a fraction of whole numbers, is two billionths under its limit",
    (
        "src/portproof/outcome.py",
        "_TOGETHER = 1 << 14",
        "2",
    ): "how many rows are held at once; the file is the same",
    (
        "src/portproof/proof/freshness.py",
        "paranoid: bool = False,",
        "True",
    ): "reads and hashes what need not be read: slower, the same answer",
    (
        "src/portproof/proof/journal.py",
        "with atomic_writer(self.path, durable=False) as file:",
        "True",
    ): "waits for the disk: slower, the same file",
    (
        "src/portproof/proof/journal.py",
        "leftover.unlink(missing_ok=True)",
        "False",
    ): "differs only if another process deletes the file just then, and the folder has a lock",
    (
        "src/portproof/proof/sidecar.py",
        "if absolute.startswith(inside) and len(absolute) > len(inside):",
        "len(absolute) >= len(inside)",
    ): "no path ends with a separator",
    (
        "src/portproof/proof/sidecar.py",
        'write_bytes(sidecar, msgspec.json.format(msgspec.json.encode(proof), indent=1) + b"\\n")',
        "2",
    ): "blanks for people",
    (
        "metrics/paired/doubt.py",
        "if wilson_lower(right, n) > 1 / max(classes, 2):",
        "wilson_lower(right, n) >= 1 / max(classes, 2)",
    ): "an irrational number is never one in so many",
    (
        "metrics/paired/bounds.py",
        "if _score(more, less, n, middle, continuity if middle < 0 else 0.0) > -z:",
        "_score(more, less, n, middle, continuity if middle < 0 else 0.0) >= -z",
    ): "where the score is exactly the quantile is the bound, whichever half is kept",
    (
        "metrics/paired/bounds.py",
        "needed = [samples_to_decide(f, b, n, margin) for f, b in drawn.tolist() if f + b <= n]",
        "f + b < n",
    ): "no sum of two drawn rates is a whole number",
    (
        "metrics/outputs/ruler.py",
        "_SPLIT = 2**2 + 1",
        "2 * 2",
    ): "twice two is two squared",
    (
        "metrics/outputs/judge.py",
        "verdict = Verdict.PASS if high <= 0 else Verdict.FAIL if low > 0 else Verdict.UNDECIDED",
        "low >= 0",
    ): "the lower end of floats is nothing by chance only, or the upper one is as well",
    (
        "src/portproof/proof/sidecar.py",
        "class FileRecord(msgspec.Struct, frozen=True, gc=False):",
        "True",
    ): "the garbage collector looks at records that hold no others: slower, the same records",
    (
        "infer/timing/speed_ratio.py",
        "return sum(40 * below <= 1 << count for below in itertools.accumulate(ways)) - 1",
        "40 * below < 1 << count",
    ): "no power of two is a multiple of 40",
}
