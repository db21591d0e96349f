"""The blocks of the help topics, each topic in a directory of its own that holds the README's network.

`python -m tests.topics` writes what the console blocks print now into the topics; read the diff before keeping it.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import initctl.topics
from initctl.topics import TOPICS
from tests.readme import README, rerun

FOLDER = Path(initctl.topics.__file__).parent
_NETWORK = "net.safetensors"


def rerun_topic(name: str, directory: Path) -> str:
    """The text of a topic with the output of every console block as it is now."""
    (directory / _NETWORK).write_bytes(_network())
    return rerun((FOLDER / f"{name}.md").read_text(), directory)


@cache
def _network() -> bytes:
    """The checkpoint that the README's first block of Python writes."""
    block = re.search(r"^```python\n.*?^```$", README.read_text(), re.MULTILINE | re.DOTALL)
    with TemporaryDirectory() as directory:
        rerun(block[0], Path(directory))
        return (Path(directory) / _NETWORK).read_bytes()


if __name__ == "__main__":
    for name in TOPICS:
        with TemporaryDirectory() as directory:
            (FOLDER / f"{name}.md").write_text(rerun_topic(name, Path(directory)))
