"""Plan → bytes in place: kept bytes copied, ruled bytes computed, in pieces, by several threads; then one commit.

execute.py        the whole of it: where to, stage, write, check, commit
destination.py    what an output path means for a checkpoint, and when it is refused
pieces.py         a file's content as pieces that can be written in any order
workers.py        pieces over threads, with progress
"""

from initctl.execution.execute import Written, execute
from initctl.execution.workers import Progress

__all__ = ["Progress", "Written", "execute"]
