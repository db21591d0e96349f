"""The README's blocks, run in order in one directory.

`python -m tests.readme` writes what the console blocks print now into the README; read the diff before keeping it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

README = Path(__file__).parent.parent / "README.md"

_BLOCK = re.compile(r"^```(python|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def rerun(text: str, directory: Path) -> str:
    """`text` with the output of every console block as it is now; Python blocks are run on the way."""
    return _BLOCK.sub(lambda block: _rerun_block(block, directory), text)


def _rerun_block(block: re.Match[str], directory: Path) -> str:
    language, body = block.groups()
    if language == "python":
        subprocess.run([sys.executable, "-c", body], cwd=directory, env=environment(), check=True, capture_output=True)
        return block[0]
    commands = [line.removeprefix("$ ") for line in body.splitlines() if line.startswith("$ ")]
    outputs = [f"$ {command}\n{_output(command, directory)}" for command in commands]
    return f"```console\n{''.join(outputs)}```"


def _output(command: str, directory: Path) -> str:
    """What `command` prints, stdout and stderr as a terminal of 80 columns would mix them."""
    run = subprocess.run(
        ["bash", "-c", command],
        cwd=directory,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return run.stdout


def environment() -> dict[str, str]:
    """This environment, with the scripts of this Python's packages first on the path."""
    scripts = os.path.dirname(sys.executable)
    return {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "80"}


if __name__ == "__main__":
    with TemporaryDirectory() as directory:
        README.write_text(rerun(README.read_text(), Path(directory)))
