"""Every way for a checkpoint to be wrong that the project knows, each under the name of its fault.

The numbers are those of RELIABILITY.md's tables. A test takes all of them as parameters:

    @pytest.mark.parametrize("fault", FAULTS, ids=name_of)
    def test_…(fault: Fault, tmp_path: Path):
        path = fault.write(tmp_path)
        …  # initctl with `path`: exit status `fault.exit_status`, one line that holds `fault.words`

`ODDITIES` are strange and right: they are to be read.

header_faults.py   the file, its header as JSON
tensor_faults.py   a tensor's entry, and where the entries' bytes lie
index_faults.py    an index and its shards
path_faults.py     what lies at the path, and in the directory
torch_faults.py    a file of torch.save
distributed_faults.py  a directory of torch.distributed.checkpoint
"""

from __future__ import annotations

from tests.broken import (
    distributed_faults,
    header_faults,
    index_faults,
    oddities,
    path_faults,
    tensor_faults,
    torch_faults,
)
from tests.broken.case import Fault, Oddity, file_of, name_of

__all__ = ["FAULTS", "ODDITIES", "Fault", "Oddity", "file_of", "name_of"]

FAULTS: tuple[Fault, ...] = (
    *header_faults.FAULTS,
    *tensor_faults.FAULTS,
    *index_faults.FAULTS,
    *path_faults.FAULTS,
    *distributed_faults.FAULTS,
    *torch_faults.FAULTS,
)
ODDITIES: tuple[Oddity, ...] = oddities.ODDITIES
