"""Checkpoints as tables: which files they have, and where in them each tensor is. No tensor byte is read.

checkpoint.py       the table itself
overview.py         the table as text and as JSON
checkpoint_file.py  one of its files, and its checksums
resolve.py          the checkpoint at a path
unfinished.py       a checkpoint of which a patch was interrupted
journals.py         what the journal of a patch is about
file_formats.py     which format a file is in, by its content
table.py            the table of one file
stored.py           formats that packages add
together.py         one checkpoint from the tables of its files
safetensors.py      a .safetensors file
torch_save/         a file of torch.save
distributed/        a directory of torch.distributed.checkpoint
directories/        what a directory contains, and which of its files are the checkpoint
parts/              files that contain only a part of a model
state_dicts/        where in a file the state dict is, and the names of its tensors
optimizers/         optimizers' states, and copies of parameters that training continues from
beside.py           files of optimizers beside the weights
writing/            new files: everything in them but the bytes of tensors
mistaken/           paths that users give by mistake
config.py           config.json beside a checkpoint
listed.py           the table that `initctl inspect --json` writes
strict_json.py      JSON from a file that may be hostile
opening.py          opening and reading files that may contain anything
"""

from initctl.formats.beside import Beside, beside, with_beside
from initctl.formats.checkpoint import Checkpoint, Result
from initctl.formats.checkpoint_file import CheckpointFile, Checksum
from initctl.formats.config import read_other_config
from initctl.formats.file_formats import check_is_checkpoint
from initctl.formats.resolve import is_directory, read_checkpoint
from initctl.formats.unfinished import check_files_finished

__all__ = [
    "Beside",
    "Checkpoint",
    "CheckpointFile",
    "Checksum",
    "Result",
    "beside",
    "check_files_finished",
    "check_is_checkpoint",
    "is_directory",
    "read_checkpoint",
    "read_other_config",
    "with_beside",
]
