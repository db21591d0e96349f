"""`python -m tests.floors [--without NAME]`: the oldest versions that pyproject.toml allows, as constraints for pip."""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"
_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(\[[\w,]+\])?(>=(?P<floor>[\w.]+))?(?P<rest>.*)")


def floors(extras: tuple[str, ...] = ("remote", "transformers", "test")) -> dict[str, str]:
    """The floor of each package that initctl needs, itself or for `extras`."""
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    asked = [*project["dependencies"], *(of for extra in extras for of in project["optional-dependencies"][extra])]
    found = [match for text in asked if (match := _REQUIREMENT.fullmatch(text)) and match["floor"]]
    return {match["name"]: match["floor"] for match in found}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.floors", description="Print the oldest allowed versions.")
    parser.add_argument("--without", action="append", default=[], metavar="NAME", help="leave this package out")
    left_out = parser.parse_args().without
    print(*(f"{name}=={floor}" for name, floor in floors().items() if name not in left_out), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
