"""Plan → bytes in place: kept bytes copied, ruled bytes computed, in pieces, by several threads; then one commit.

execute.py        the whole of it: where to, stage, write, check, commit
destination.py    what an output path means for a checkpoint, and when it is refused
memory.py         whether what must be computed at once fits the memory
engines.py        the engines that a plan needs
ranges.py         which bytes are computed, and which are kept
pieces.py         a file's content as pieces that can be written in any order
workers.py        pieces over threads, with progress
events.py         what is told while it goes on
"""

from initctl.execution.events import Chosen, Committed, Event, Progress
from initctl.execution.execute import Written, execute

__all__ = ["Chosen", "Committed", "Event", "Progress", "Written", "execute"]
