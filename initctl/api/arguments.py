"""Arguments that several functions share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from initctl.argument_types import not_a_path
from initctl.errors import Problem, UsageError, listed, shown

if TYPE_CHECKING:
    from initctl.planning import Plan
    from initctl.request import Asked, Request

_SHORT = {"rules": "-r", "recipes": "-f", "preset": "-p"}
"""The options of arguments that have another name on a command line."""


def request_of(asked: Mapping[str, Any]) -> Request:
    from initctl.request import Request

    return Request.of(asked)


def finished_plan(plan: object, asked: Asked) -> Plan:
    """`plan`. Raises `UsageError` if an option other than a default is given with it, and `TypeError` if it is neither
    a plan nor a path.
    """
    from initctl.planning import Plan

    if not isinstance(plan, Plan):
        raise not_a_path("checkpoint", plan)
    check_has_files(plan)
    check_not_combined("--plan", asked)
    return plan


def check_not_combined(option: str, asked: Asked) -> None:
    """Raise `UsageError` if an argument in `asked` has another value than its default: `option` says what to do."""
    if request_of(asked) != request_of({}):
        given = [name for name, value in asked.items() if _is_chosen(value)]
        options = listed([_SHORT.get(name, f"--{name.replace('_', '-')}") for name in given], at_most=len(given))
        fault = f"{option} cannot be combined with {options}; it already fixes the rules, the seed and the rest"
        raise UsageError(Problem("usage.plan", fault, f"leave out {options}, or {option}"))


def check_has_files(plan: Plan) -> None:
    """Raise `UsageError` if `plan` is for a model in memory."""
    if plan.checkpoint.is_in_memory:
        fault = f"the plan is for a model in memory ({shown(plan.checkpoint.path)}), which has no files"
        raise UsageError(Problem("plan.memory", fault, "save the model, and plan with the same rules for its file"))


def _is_chosen(value: object) -> bool:
    """Whether an argument has another value than its default."""
    return value is not None and value is not False and value not in ([], (), {}, "cpu", "philox")
