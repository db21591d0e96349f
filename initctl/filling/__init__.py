"""The elements that a plan's laws give, computed as bytes, in parts and by several threads.

computer.py  target blocks → runs of elements → bytes
targets.py   what is computed: blocks of tensors in files, and runs of their elements
engines.py   the engines that a plan needs
memory.py    whether what must be computed at once fits the memory
"""

from initctl.filling.computer import Computer
from initctl.filling.engines import choose_engines
from initctl.filling.memory import check_memory
from initctl.filling.targets import (
    ElementRun,
    FilledFile,
    TargetBlock,
    in_turn,
    needs_preparing,
    packed,
    range_of,
    targets_by_file,
)

__all__ = [
    "Computer",
    "ElementRun",
    "FilledFile",
    "TargetBlock",
    "check_memory",
    "choose_engines",
    "in_turn",
    "needs_preparing",
    "packed",
    "range_of",
    "targets_by_file",
]
