from __future__ import annotations

from tests.cli.processes import plain_environment, terminal

__all__ = ["plain_environment", "terminal"]
