"""Checkpoints as tables: which files, and where in them each tensor is. No tensor byte is read.

checkpoint.py       the table itself
overview.py         the table as people and programs read it
checkpoint_file.py  one of its files, and its checksums
resolve.py          the checkpoint at a path
file_formats.py     which format a file is in, by its content
table.py            what a reader makes of one file
stored.py           formats that packages add
together.py         the checkpoint that tables of files make up
safetensors.py      a .safetensors file
torch_save/         a file of torch.save
distributed/        a directory of torch.distributed.checkpoint
directories/        what a directory holds, and which of its files are the checkpoint
parts/              files that hold a part of a model only
state_dicts/        where in a file the state dict is, and the names of its tensors
optimizers/         optimizers' states, and copies of parameters that training goes on from
beside.py           files of optimizers beside the weights
writing/            new files: what goes around the bytes of tensors
mistaken/           what people name by mistake
config.py           config.json beside a checkpoint
strict_json.py      JSON as a hostile file may write it
opening.py          opening and reading files that may be anything
"""

from initctl.formats.beside import Beside, beside, with_beside
from initctl.formats.checkpoint import Checkpoint
from initctl.formats.checkpoint_file import CheckpointFile, Checksum
from initctl.formats.config import read_config
from initctl.formats.file_formats import check_is_checkpoint
from initctl.formats.resolve import read_checkpoint

__all__ = [
    "Beside",
    "Checkpoint",
    "CheckpointFile",
    "Checksum",
    "beside",
    "check_is_checkpoint",
    "read_checkpoint",
    "read_config",
    "with_beside",
]
