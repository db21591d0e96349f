"""Findings as a JUnit report: a test case for each finding, for each check that found nothing, and for each tensor
that cannot be read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from initctl.errors import escape, shown

if TYPE_CHECKING:
    from initctl.diagnosing.check import Finding, Severity
    from initctl.diagnosing.diagnosis import Diagnosis

_SUITE = "initctl doctor"


def report(diagnosis: Diagnosis, severity: Severity) -> str:
    """An XML document in ASCII. Findings of at least this `severity` are failures; others are output of their cases."""
    failing = set(map(id, diagnosis.at_least(severity)))
    suites = ET.Element("testsuites")
    suite = ET.SubElement(suites, "testsuite", name=f"{_SUITE} {shown(diagnosis.checkpoint.path)}")
    for check in diagnosis.checks:
        findings = [found for found in diagnosis.findings if found.check is check]
        for found in findings:
            _add(suite, found, is_failure=id(found) in failing)
        if not findings:
            case = ET.SubElement(suite, "testcase", classname=_SUITE, name=check.code)
            if check.only_fresh and diagnosis.reading.is_trained:
                ET.SubElement(case, "skipped", message="for fresh weights only")
    for name, reason in diagnosis.unreadable:
        case = ET.SubElement(suite, "testcase", classname=_SUITE, name=shown(name))
        ET.SubElement(case, "skipped", message=escape(f"not read: {reason}"))
    skipped = len(suite.findall("testcase/skipped"))
    numbers = {"tests": len(suite), "failures": len(failing), "errors": 0, "skipped": skipped}
    suite.attrib |= {name: str(number) for name, number in numbers.items()}
    ET.indent(suites)
    document: bytes = ET.tostring(suites, "us-ascii", xml_declaration=True)
    return document.decode("ascii")


def _add(suite: ET.Element, found: Finding, *, is_failure: bool) -> None:
    case = ET.SubElement(suite, "testcase", classname=found.check.code, name=shown(found.tensor))
    message = f"{shown(found.tensor)} {escape(found.message)}"
    if is_failure:
        ET.SubElement(case, "failure", type=found.severity, message=message).text = _text(found)
    else:
        ET.SubElement(case, "system-out").text = f"{found.severity}: {message}. {_text(found)}"


def _text(found: Finding) -> str:
    return escape(f"{found.check.why} [{found.check.source}] {found.mending}")
