"""Errors: what they carry."""

from __future__ import annotations

from initctl import errors
from initctl.errors import InitctlError, Problem, RuleError, UsageError

STATUSES = {
    "UsageError": 2,
    "RuleError": 2,
    "InputError": 3,
    "FitError": 4,
    "StorageError": 5,
    "ConflictError": 6,
    "UncertainError": 7,
}


def test_the_tree_is_the_one_drawn_with_its_exit_statuses():
    drawn = {name: kind for name, kind in vars(errors).items() if name.endswith("Error") and name != "InitctlError"}
    assert {name: kind.exit_status for name, kind in drawn.items()} == STATUSES
    assert all(issubclass(kind, InitctlError) for kind in drawn.values())
    assert issubclass(RuleError, UsageError)
    for name, status in STATUSES.items():
        (line,) = (line for line in errors.__doc__.splitlines() if f"── {name} " in line)
        assert line.split(name)[1].split()[0] == str(status)


def test_a_problem_reads_as_what_is_wrong_and_what_to_do():
    assert str(Problem("rule.glob", "pattern x: empty")) == "pattern x: empty"
    assert str(Problem("rule.glob", "pattern x: empty", "write *")) == "pattern x: empty; write *"


def test_an_error_carries_its_problems_and_reads_as_a_line_for_each():
    problems = Problem("a", "first", "do this"), Problem("b", "second")
    error = errors.FitError(*problems)
    assert error.problems == problems
    assert str(error) == "first; do this\nsecond"
