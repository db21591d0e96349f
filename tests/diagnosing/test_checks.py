"""The table of checks: stable codes, whole sentences, and `initctl help doctor` lists each."""

from __future__ import annotations

import re

import pytest

from initctl.diagnosing import CHECKS
from initctl.diagnosing.check import SEVERITIES, Check
from initctl.topics import find_topic

CODES = {
    "values.nan", "values.infinite", "values.absurd", "values.damaged", "values.float16", "values.subnormal",
    "symmetry.constant",
    "symmetry.equal_rows", "symmetry.equal_columns", "symmetry.dead_rows", "symmetry.identical", "spread.large",
    "spread.small", "spread.mean", "spread.depth", "spread.truncation", "norms.weight", "norms.running_var",
    "biases.nonzero", "embeddings.tie", "embeddings.padding", "embeddings.large", "embeddings.empty_rows",
    "quantized.scale", "quantized.codes",
}  # fmt: skip
"""Pipelines depend on them."""


def test_codes_stay_and_are_each_of_one_check():
    assert sorted(check.code for check in CHECKS) == sorted(CODES)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.code)
def test_a_check_says_what_why_and_who(check: Check):
    assert check.severity in SEVERITIES
    assert re.fullmatch(r"\S.*[^.]", check.title)
    assert re.fullmatch(r"[A-Zt].*\.", check.why)
    assert check.source


def test_an_error_is_one_of_trained_weights_too():
    assert not [check.code for check in CHECKS if check.severity == "error" and check.only_fresh]


def test_the_topic_lists_every_check():
    rows = [f"| `{c.code}` | {c.severity} | {c.title} | {'' if c.only_fresh else 'yes'} |" for c in CHECKS]
    assert "\n".join(rows) in find_topic("doctor").text
