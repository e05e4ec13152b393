"""The gates of a port as JUnit XML, for continuous integration."""

from __future__ import annotations

# Only written: no XML is read.
import xml.etree.ElementTree as ET  # nosec B405
from collections.abc import Sequence

from portproof.core.text import printable
from portproof.reports.port.data import RunData
from portproof.rundir.gates import Gate
from portproof.verdict import Verdict


def junit_xml(data: RunData) -> str:
    """The gates of a port."""
    return junit_of(data.judgement.gates, data.model_name, data.simulated)


def junit_of(gates: Sequence[Gate], name: str, simulated: bool) -> str:
    """One test case for each gate: FAIL is a failure, UNDECIDED and UNSTABLE are errors, a gate
    that was not judged is skipped. ``name``: of what they judge.
    """
    counts = {
        "tests": len(gates),
        "failures": sum(g.verdict is Verdict.FAIL for g in gates),
        "errors": sum(g.verdict in (Verdict.UNDECIDED, Verdict.UNSTABLE) for g in gates),
        "skipped": sum(g.verdict is None for g in gates),
    }
    attributes = {name: str(count) for name, count in counts.items()}
    root = ET.Element("testsuites", attributes)
    suite = ET.SubElement(root, "testsuite", {"name": printable(f"portproof {name}"), **attributes})
    if simulated:
        properties = ET.SubElement(suite, "properties")
        ET.SubElement(
            properties, "property", {"name": "REHEARSAL", "value": "simulated, not measured"}
        )
    for gate in gates:
        _case(suite, gate)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _case(suite: ET.Element, gate: Gate) -> None:
    case = ET.SubElement(suite, "testcase", {"classname": printable(gate.label), "name": gate.name})
    message = printable(f"{gate.verdict or 'not judged'}: {gate.reason}")
    if gate.verdict is Verdict.PASS:
        ET.SubElement(case, "system-out").text = message
    else:
        kind = (
            "skipped"
            if gate.verdict is None
            else "failure"
            if gate.verdict is Verdict.FAIL
            else "error"
        )
        ET.SubElement(case, kind, {"message": message})
