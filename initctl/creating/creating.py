"""The whole way to a new checkpoint: a source, a plan that leaves no tensor without values, and the files."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from initctl.creating.created import Created
from initctl.execution import execute
from initctl.execution.output_format import names_directory
from initctl.recipes.presets import AUTO, has_preset
from initctl.request import Request

if TYPE_CHECKING:
    from initctl.creating.options import NewOptions
    from initctl.creating.template import Template
    from initctl.events import Event
    from initctl.execution import Conversion
    from initctl.planning import Plan

_OF_OPTIMIZERS = "optimizer."
"""The beginning of codes of warnings about optimizers. A new checkpoint goes without them."""


def create(
    options: NewOptions,
    asked: Mapping[str, Any],
    *,
    threads: int | None,
    on_event: Callable[[Plan | Event], None] | None,
) -> Created:
    """Write the checkpoint that `options` describe, filled as `asked`: arguments of `initctl.plan` about rules.

    Raises what planning and writing raise; `FitError` if some tensor would have no values.
    """
    request = Request.of(asked)
    request.check_without_sizes("a new checkpoint")
    if options.config is None:
        request.check_rules()
    template = options.template()
    conversion = options.conversion(template)
    plan = _planned(request, template, by_config=options.config is not None)
    if on_event:
        on_event(plan)
    if options.dry_run:
        return Created(plan, options.output, _names(plan, conversion, options.output), dry_run=True)
    written = execute(
        plan,
        options.output,
        conversion=conversion,
        overwrite=options.overwrite,
        dropped=template.checkpoint.stale,
        threads=threads,
        on_event=on_event,
    )
    return Created(plan, written.path, written.files, engines=written.engines, replaced=written.replaced)


def _planned(request: Request, template: Template, *, by_config: bool) -> Plan:
    """The plan for `template`. With `by_config`, the preset of the configuration comes first, unless a preset or a
    recipe is given.
    """
    checkpoint = template.checkpoint
    is_free = by_config and request.preset is None and not request.recipes
    if is_free and (has_preset(checkpoint.config()) or not request.rules):
        request = request._replace(preset=AUTO, rules=())  # bound again after those of the preset
    # A table in which nothing has a value reports by itself what no rule fills.
    strict = replace(request.options, require_all=not checkpoint.incomplete, allow_partial=True)
    made = request._replace(options=strict).plan(checkpoint)
    warnings = (warning for warning in made.warnings if not warning.code.startswith(_OF_OPTIMIZERS))
    return replace(made, warnings=(*template.warnings, *warnings))


def _names(plan: Plan, conversion: Conversion | None, output: str) -> tuple[str, ...]:
    """The names of the files that would be written. Raises `FitError` if safetensors cannot hold a tensor."""
    checkpoint = plan.checkpoint
    if conversion:
        from initctl.execution.converting import converted

        name = os.path.basename(os.path.realpath(output))
        return tuple(converted(plan, conversion, name, checkpoint.stale).contents)
    if not checkpoint.is_directory:
        return (checkpoint.files[0].name if names_directory(output) else os.path.basename(os.path.realpath(output)),)
    files = (*checkpoint.files, *checkpoint.other_files)
    return tuple(file.name for file in files if file.name not in checkpoint.stale)
