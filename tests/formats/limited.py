"""Reading by a process that may take only so much of a processor and of memory."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SECONDS, BYTES = 60, 500_000_000
"""What reading may take of a processor and of memory at the very most: six times what the costliest takes here."""

READ = f"""
import resource, sys
part = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_AS, ({BYTES}, {BYTES}))
resource.setrlimit(resource.RLIMIT_CPU, ({SECONDS} // part, {SECONDS} // part))
from initctl.errors import InputError
from initctl.formats import read_checkpoint
from initctl.formats.torch_save import looks
looks.MOST_LOOKS //= part
try:
    checkpoint = read_checkpoint(sys.argv[1])
    print(len(checkpoint.tensors) + len(checkpoint.outside))
except InputError as error:
    print(error)
"""


def read(path: Path, part: int = 1) -> str:
    """What comes of reading a file within a part of the limits: a number of tensors, or a refusal."""
    command = [sys.executable, "-c", READ, os.fspath(path), str(part)]
    ran = subprocess.run(command, timeout=10 * SECONDS, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-500:]
    return ran.stdout.strip()
