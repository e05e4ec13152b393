"""What an audit remembers of the lines that it could check."""

from __future__ import annotations

from portproof.reports.claims.agreement import Agreement, Audit, Checked, Unchecked


def test_the_line_of_a_figure_and_that_of_its_source_count_as_checked() -> None:
    """A table that other figures were checked against is not one that nobody read."""
    audit = Audit("README.md")
    audit.add(Checked(Agreement.AGREES, "ratio", 12, "2.0", "2.0", from_line=5))
    audit.add(Checked(Agreement.CONTRADICTION, "ratio", 14, "3.0", "2.0", from_line=6))
    audit.add(Checked(Agreement.AMBIGUOUS, "unit", 20, "1.0", "1.0"))
    audit.add(Unchecked(30, "nothing to check it by"))
    assert audit.lines_checked() == {5, 6, 12, 14, 20}
    assert Audit("empty.md").lines_checked() == set()
