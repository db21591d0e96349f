"""Findings as a SARIF 2.1.0 log, which code scanning reads: OASIS, Static Analysis Results Interchange Format."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from initctl.errors import escape, shown

if TYPE_CHECKING:
    from initctl.diagnosing.check import Check, Finding, Severity
    from initctl.diagnosing.diagnosis import Diagnosis

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS: Mapping[Severity, str] = {"error": "error", "warning": "warning", "info": "note"}


def log(diagnosis: Diagnosis, version: str) -> str:
    """A JSON document in ASCII. `version` is the version of initctl."""
    numbers = {check.code: number for number, check in enumerate(diagnosis.checks)}
    driver = {"name": "initctl doctor", "version": version, "rules": list(map(_rule, diagnosis.checks))}
    tensors, path = diagnosis.checkpoint.by_name, diagnosis.checkpoint.whole
    folder = path if os.path.isdir(path) else os.path.dirname(path)
    results = [
        _result(found, numbers[found.check.code], os.path.join(folder, *tensors[found.tensor].files[:1]))
        for found in diagnosis.findings
    ]
    unread = (escape(f"not read: {shown(name)}: {reason}") for name, reason in diagnosis.unreadable)
    notes = [{"level": "note", "message": {"text": text}} for text in unread]
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": True, "toolExecutionNotifications": notes}],
        "results": results,
    }
    document = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(document, indent=2).replace("##", "#\\u0023")


def _rule(check: Check) -> dict[str, Any]:
    return {
        "id": check.code,
        "shortDescription": {"text": check.title},
        "fullDescription": {"text": check.why},
        "help": {"text": f"{check.why} Source: {check.source}"},
        "defaultConfiguration": {"level": _LEVELS[check.severity]},
    }


def _result(found: Finding, number: int, path: str) -> dict[str, Any]:
    name = shown(found.tensor)
    return {
        "ruleId": found.check.code,
        "ruleIndex": number,
        "level": _LEVELS[found.severity],
        "message": {"text": escape(f"{name} {found.message}. {found.mending}")},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": _uri(path)},
                    "region": {"startLine": 1},
                },
                "logicalLocations": [{"fullyQualifiedName": name, "kind": "variable"}],
            }
        ],
        "partialFingerprints": {"tensor/v1": f"{found.check.code}:{name}"},
        "properties": {"rule": found.rule},
    }


def _uri(path: str) -> str:
    """The URI of a file. It is relative if the checkpoint's path is."""
    from pathlib import PurePath
    from urllib.parse import quote

    return PurePath(path).as_uri() if os.path.isabs(path) else quote(os.fsencode(path))
