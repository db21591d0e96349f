"""`initctl version`: what is installed here, for a bug report."""

from __future__ import annotations

from initctl.cli.options import grouped
from initctl.cli.output import Output
from initctl.installation import installation


@grouped
def version(*, out: Output) -> None:
    """Show versions, engine, cache and devices.

    Put this into a bug report. `initctl --version` shows only the version of initctl.

    Examples:
    initctl version
    initctl version --json

    See: performance
    """
    found = installation()
    out.result("version", found.to_json, found.report)
