from __future__ import annotations

from tests.cli.processes import plain_environment

__all__ = ["plain_environment"]
