"""Installed versions and available devices, for a bug report."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from initctl.display.tables import Displayed, Listing, Report
from initctl.errors import shown
from initctl.system_errors import check_working_directory
from initctl.threads import processors
from initctl.version import __version__

PACKAGES = ("torch", "numpy", "safetensors", "ml_dtypes", "numba", "llvmlite", "typer", "rich", "transformers")
"""The packages whose versions matter."""


@dataclass(frozen=True, slots=True, repr=False)
class Installation(Displayed):
    """The versions of initctl, Python and `packages` (None: not installed); the `engine` and the `cache` of its
    compiled code; the number of processors, and the devices that torch can use.
    """

    version: str
    python: str
    system: str
    packages: dict[str, str | None]
    engine: str
    cache: str | None
    processors: int
    devices: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def report(self, *, unfold: bool = False) -> Report:  # noqa: ARG002 - nothing is folded
        """One fact a row."""
        facts = [
            ("python", f"{self.python}, {self.system}"),
            *((name, found or "not installed") for name, found in self.packages.items()),
            ("engine", self.engine),
            ("cache", shown(self.cache) if self.cache else "not used, because there is no home directory"),
            ("processors", f"{self.processors}"),
            ("devices", ", ".join(self.devices)),
        ]
        return [Listing(("initctl", self.version), facts)]


def installation() -> Installation:
    """The facts about this machine."""
    from initctl.stream.engines.object_code import cache_directory

    packages = {name: _version(name) for name in PACKAGES}
    return Installation(
        __version__,
        platform.python_version(),
        f"{platform.system()} {platform.release()} {platform.machine()}",
        packages,
        _engine(),
        cache_directory(),
        processors(),
        tuple(_devices()),
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _engine() -> str:
    from initctl.stream.engines.object_code import NoCompiler, is_cached

    try:
        return "compiled" if is_cached() else "compiled (not compiled yet: that happens when there is enough work)"
    except NoCompiler as error:
        return f"numpy: {error}"


def _devices() -> Iterator[str]:
    yield "cpu"
    check_working_directory()
    try:
        import torch
    except ImportError:
        return
    for number in range(torch.cuda.device_count()):
        yield f"cuda:{number} ({torch.cuda.get_device_name(number)})"
