"""`python -m tests.sbom [--extra NAME]`: the software that an installation of initctl consists of, as CycloneDX 1.6.

initctl's own wheel contains no software of others, and asks for lowest versions of other packages. So there is no list
that holds for every installation: this one is of the environment that it is made in, from the metadata of its packages.
For a release, make it in a fresh environment. The same environment gives the same bytes.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = "initctl"
SAYS = {
    "initctl:lists": "the Python packages that were installed when this was made, and no others",
    "initctl:pins": "none: initctl asks for lowest versions, so another installation may have other ones",
    "initctl:incomplete": "libraries that are inside a package's wheel, such as OpenBLAS in NumPy's, are not listed",
}


@dataclass(frozen=True)
class Package:
    """An installed package, and the names of those that it needs here."""

    installed: Distribution
    needs: tuple[str, ...]

    @property
    def reference(self) -> str:
        """A package URL, but for initctl, which no registry has."""
        name, version = canonicalize_name(self.installed.name), self.installed.version
        return f"{name}@{version}" if name == ROOT else f"pkg:pypi/{name}@{version.replace('+', '%2B')}"

    @property
    def component(self) -> dict[str, Any]:
        is_root = self.reference.startswith(f"{ROOT}@")
        return {
            "type": "application" if is_root else "library",
            "bom-ref": self.reference,
            "name": self.installed.name,
            "version": self.installed.version,
            **({} if is_root else {"purl": self.reference}),
            **self._licenses,
        }

    @property
    def _licenses(self) -> dict[str, Any]:
        """What the package's metadata says: an expression, or the first line of a text."""
        metadata = self.installed.metadata
        if expression := metadata.get("License-Expression"):
            return {"licenses": [{"expression": expression}]}
        classified = [kind.rpartition(" :: ")[2] for kind in metadata.get_all("Classifier", []) if "License ::" in kind]
        names = classified or (metadata.get("License") or "").strip().splitlines()[:1]
        return {"licenses": [{"license": {"name": name}} for name in names]} if names else {}


def packages(extras: tuple[str, ...] = ()) -> dict[str, Package]:
    """initctl, and all packages that it needs with `extras`, by name."""
    found: dict[str, Package] = {}
    wanted = [(ROOT, extras)]
    seen = set(wanted)
    while wanted:
        name, with_extras = wanted.pop()
        installed = distribution(name)
        needs = [need for need in map(Requirement, installed.requires or ()) if _applies(need, with_extras)]
        before = found[name].needs if name in found else ()
        names = sorted({*before, *(canonicalize_name(need.name) for need in needs)} - {name})
        found[name] = Package(installed, tuple(names))
        new = {(canonicalize_name(need.name), tuple(sorted(need.extras))) for need in needs} - seen
        seen |= new
        wanted += sorted(new)
    return dict(sorted(found.items()))


def _applies(need: Requirement, extras: tuple[str, ...]) -> bool:
    return need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in (*extras, ""))


def bill(extras: tuple[str, ...] = ()) -> dict[str, Any]:
    """The document."""
    found = packages(extras)
    others = {name: package for name, package in found.items() if name != ROOT}
    content = {
        "metadata": {
            "component": found[ROOT].component,
            "properties": [{"name": name, "value": value} for name, value in SAYS.items()],
        },
        "components": [package.component for package in others.values()],
        "dependencies": [
            {"ref": package.reference, "dependsOn": sorted(found[name].reference for name in package.needs)}
            for package in found.values()
        ],
        "compositions": [{"aggregate": "incomplete", "assemblies": [found[ROOT].reference]}],
    }
    number = uuid5(NAMESPACE_URL, json.dumps(content, sort_keys=True))
    head = {"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": number.urn, "version": 1}
    return {**head, **content}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sbom", description="List the software of this installation.")
    parser.add_argument("--extra", action="append", default=[], metavar="NAME", help="an extra of initctl, too")
    try:
        document = bill(tuple(parser.parse_args().extra))
    except PackageNotFoundError as fault:
        sys.exit(f"{fault.name} is not installed, so the list would not be complete")
    print(json.dumps(document, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
