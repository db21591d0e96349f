"""How output reaches the disk: staged beside its target, synced, and put into place in one step, or not at all.

staging.py     a file or a directory on its way to its target
copying.py     bytes from file to file, moved by the kernel where it can
exchange.py    two paths swapped in one step
failure.py     what the operating system refused, as an error of this package
"""

from initctl.commit.copying import copy_range, write_all
from initctl.commit.failure import storage_errors
from initctl.commit.staging import NewFile, StagedDirectory, StagedFile

__all__ = ["NewFile", "StagedDirectory", "StagedFile", "copy_range", "storage_errors", "write_all"]
