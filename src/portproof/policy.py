"""Acceptance policies: what a port must reach. Each is a file of the catalog, found by its name.

The rules are those of Ascend's ModelZoo: in the 310P era the best batch on a 310P had to reach 1.2
times the best on a 310 card and 1.6 times the best on a T4; in the 310 era a 310 board had to reach
a T4; accuracy had to stay within one percentage point of the published figure. Every comparison
is kept, whether it holds or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import msgspec

from portproof.core.errors import InputError
from portproof.core.text import printable
from portproof.core.yamlfile import data_file, load_yaml, names_in
from portproof.verdict import Verdict

ACCURACY_MARGIN_PP = 1.0


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``subject``'s best rate is at least ``factor`` times ``other``'s; targets, per board."""

    subject: str
    factor: float
    other: str


@dataclass(frozen=True, slots=True)
class Requirement:
    """One comparison: ``measured`` and ``required``, in ``unit``; ``text`` is for people."""

    name: str
    measured: float
    required: float
    unit: str
    holds: bool
    text: str


@dataclass(frozen=True, slots=True)
class PolicyJudgement:
    """What a policy says, with every comparison that led to it."""

    policy: str
    verdict: Verdict
    comparisons: tuple[Requirement, ...]

    def lines(self) -> list[str]:
        """The judgement for people, one comparison a line."""
        return [
            f"policy {self.policy}: {self.verdict}",
            *(f"  {'ok ' if c.holds else 'NOT'} {c.text}" for c in self.comparisons),
        ]


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of ``catalog/policies/<name>.yaml``: every rule must hold."""

    rules: Annotated[tuple[Rule, ...], msgspec.Meta(min_length=1)]


def find_policy(name: str) -> Policy:
    """The policy of a name in the catalog, or of a file; :class:`InputError` lists the names."""
    path = data_file("policies", name, "policy", "or give the path of a policy's YAML file")
    return load_yaml(path, Policy, "policy")


def policy_about(target: str) -> str | None:
    """The name of the policy whose first rule is about a target; None if there is none."""
    names = names_in("policies")
    return next((n for n in names if find_policy(n).rules[0].subject == target), None)


def judge_speed(policy: str, best: Mapping[str, tuple[float, str]]) -> PolicyJudgement:
    """Judge the best rates, target name -> (images per second per card, how to call it), by a
    policy's name.

    Raises :class:`InputError` when there is no such policy or a device that it compares was not
    measured.
    """
    rules = find_policy(policy).rules
    missing = sorted({t for rule in rules for t in (rule.subject, rule.other)} - set(best))
    if missing:
        raise InputError(
            f"policy '{policy}' compares devices that are not in the table: {', '.join(missing)};"
            " add their logs"
        )
    comparisons = tuple(_compare(rule, best) for rule in rules)
    return PolicyJudgement(
        policy, Verdict.PASS if all(c.holds for c in comparisons) else Verdict.FAIL, comparisons
    )


def judge_accuracy(
    measured_percent: float, published_percent: float, margin_pp: float = ACCURACY_MARGIN_PP
) -> PolicyJudgement:
    """Judge an accuracy, in percent, against the published one: at most ``margin_pp`` percentage
    points lower.

    >>> judge_accuracy(77.85, 77.862).verdict
    <Verdict.PASS: 'PASS'>
    """
    required = published_percent - margin_pp
    # Both figures are decimal fractions of two or three digits; a difference of exactly the margin
    # must not fail by a rounding error.
    holds = measured_percent >= required - 1e-9
    text = (
        f"accuracy {measured_percent:g} % against {published_percent:g} % published:"
        f" {measured_percent - published_percent:+.3f} percentage points, at most {margin_pp:g} may"
        " be lost"
    )
    verdict = Verdict.PASS if holds else Verdict.FAIL
    return PolicyJudgement(
        "accuracy",
        verdict,
        (Requirement("accuracy", measured_percent, required, "%", holds, text),),
    )


def level_text(speed: PolicyJudgement | None, accuracy: PolicyJudgement | None) -> str:
    """The content of ModelZoo's ``modelzoo_level.txt``: ``key:value`` lines without blanks, a key
    only where it was judged.

    A model whose figures exist was converted and ran; inference knows ``OK`` and ``NOK`` only.
    """
    words = {True: "OK", False: "NOK"}
    lines = ["ModelConvert:OK", "FuncStatus:OK"]
    if accuracy is not None:
        lines.append(f"PrecisionStatus:{words[accuracy.verdict is Verdict.PASS]}")
    if speed is not None:
        lines.append(f"PerfStatus:{words[speed.verdict is Verdict.PASS]}")
    return "\n".join(lines) + "\n"


def _compare(rule: Rule, best: Mapping[str, tuple[float, str]]) -> Requirement:
    (subject, subject_name), (other, other_name) = best[rule.subject], best[rule.other]
    required = rule.factor * other
    holds = subject >= required
    text = (
        f"{printable(subject_name)} {subject:.4f} images/s is {subject / other:.4f} x"
        f" {printable(other_name)} {other:.4f}, {rule.factor:g} x = {required:.4f} is required"
    )
    return Requirement(
        f"{rule.subject} >= {rule.factor:g} x {rule.other}",
        subject,
        required,
        "images/s per card",
        holds,
        text,
    )
