"""`python -m tests.field.make OUT LIBRARY…`: write the layouts of libraries, which must be installed, to OUT."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
import warnings

from tests.field.make import DISTRIBUTIONS


def write(out: str, library: str) -> None:
    """Write the layouts of `library` to OUT/LIBRARY/NAME, and what they are to OUT/LIBRARY/NAME.json."""
    module = importlib.import_module(f"tests.field.make.{library}")
    for layout in module.LAYOUTS:
        folder = os.path.join(out, library, layout.name)
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        record = layout.write(folder)
        record.save(folder + ".json")
        print(library, layout.name, len(record.parameters), "parameters")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for named in sys.argv[2:] or DISTRIBUTIONS:
        write(sys.argv[1], named)
