"""The whole way to a new checkpoint: a source, a plan that leaves no tensor without values, and the files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from initctl.creating.from_config import Config
from initctl.errors import FitError, Problem
from initctl.planning.blank_rows import BLANK
from initctl.recipes.presets import AUTO, preset_of
from initctl.request import Request

if TYPE_CHECKING:
    from initctl.creating.created import Created
    from initctl.creating.sources import Source
    from initctl.creating.target import Target
    from initctl.creating.template import Template
    from initctl.events import Event
    from initctl.formats import Checkpoint
    from initctl.planning import Plan

_UNFILLED = "new.unfilled"
"""The code of the problem that no rule fills a tensor of a new checkpoint."""
_OF_OPTIMIZERS = "optimizer."
"""The beginning of codes of warnings about optimizers. A new checkpoint goes without them."""


def create(
    source: Source,
    target: Target,
    asked: Mapping[str, Any],
    *,
    dry_run: bool = False,
    threads: int | None = None,
    on_event: Callable[[Plan | Event], None] | None = None,
) -> Created:
    """Write the checkpoint whose table `source` gives to `target`, filled as `asked`: arguments of `initctl.plan` about
    rules. A `dry_run` writes nothing.

    Raises what planning and writing raise; `FitError` if some tensor would have no values.
    """
    request = Request.of(asked)
    request.check_without_sizes("a new checkpoint")
    by_config = isinstance(source, Config)
    if not by_config:
        request.check_rules()
    template = source.template()
    conversion = target.conversion(template)
    plan = _planned(request, template, by_config=by_config)
    if on_event:
        on_event(plan)
    if dry_run:
        return target.rehearse(plan, conversion)
    return target.write(plan, conversion, threads=threads, on_event=on_event)


def _planned(request: Request, template: Template, *, by_config: bool) -> Plan:
    """The plan for `template`. With `by_config`, the preset of the configuration comes first, unless a preset or a
    recipe is given.
    """
    checkpoint = template.checkpoint
    is_free = by_config and request.preset is None and not request.recipes
    if is_free and (preset_of(checkpoint.config()) or not request.rules):
        request = request.with_default_preset()
    # A table in which nothing has a value reports by itself what no rule fills.
    strict = replace(request.options, require_all=not checkpoint.incomplete, allow_partial=True)
    try:
        made = request._replace(options=strict).plan(checkpoint)
    except FitError as error:
        raise FitError(*(_unfilled(problem, request, checkpoint) for problem in error.problems)) from None
    warnings = (warning for warning in made.warnings if not warning.code.startswith(_OF_OPTIMIZERS))
    return replace(made, warnings=(*template.warnings, *warnings))


def _unfilled(problem: Problem, request: Request, checkpoint: Checkpoint) -> Problem:
    """`problem`, or, if it is that no rule fills some tensors, one that proposes the preset of the configuration."""
    if problem.code != BLANK:
        return problem
    fitting = preset_of(checkpoint.config())
    if fitting and not request.default_preset and request.preset not in (AUTO, fitting.name):
        problem = problem._replace(hint=f"use -p auto (preset {fitting.name}), or {problem.hint}")
    return problem._replace(code=_UNFILLED)
