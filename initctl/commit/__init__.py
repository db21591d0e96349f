"""How output reaches the disk: staged beside its target, synced, and put into place in one step, or not at all.

staging.py        a file or a directory on its way to its target
patching.py       an existing file, overwritten where its bytes lie
reserving.py      room on the disk: blocks shared with the source, or reserved
copying.py        bytes from file to file, moved by the kernel where it can
places.py         where output can go
exchange.py       two paths swapped in one step
undisturbed.py    steps that a signal must not cut in two
tree.py           what lies below a directory
failure.py        what the operating system refused, as an error of this package
"""

from initctl.commit.copying import copy_range, read_into, start_writeback, write_all, write_over_zeros
from initctl.commit.failure import storage_errors
from initctl.commit.patching import PatchedFile
from initctl.commit.places import check_file_place, check_parent, is_open_stream
from initctl.commit.reserving import reserve, share
from initctl.commit.staging import NewFile, StagedDirectory, StagedFile, write_file
from initctl.commit.tree import tree

__all__ = [
    "NewFile",
    "PatchedFile",
    "StagedDirectory",
    "StagedFile",
    "check_file_place",
    "check_parent",
    "copy_range",
    "is_open_stream",
    "read_into",
    "reserve",
    "share",
    "start_writeback",
    "storage_errors",
    "tree",
    "write_all",
    "write_file",
    "write_over_zeros",
]
