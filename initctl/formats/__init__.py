"""Checkpoints as tables: which files, and where in them each tensor lies. No tensor byte is read.

checkpoint.py    the table itself; checkpoint_file.py one of its files
resolve.py       which format a path holds, by its content
files.py         single files, and what files come to together
location.py      where it is
table.py         what a reader makes of one file
safetensors.py   a .safetensors file
torch_save/      a file of torch.save
distributed/     a directory of torch.distributed.checkpoint
directory.py     a directory: which of its files are the checkpoint
writing/         new files: what goes around the bytes of tensors
sharded.py       an index and its shards
index.py         the index itself
unindexed.py     files that a directory holds without an index
slices.py        files of slices that ranks wrote; tiling.py whether they make up a tensor
ranks.py         files in which each rank saved its own part
lone_shards.py   one shard that is named by itself
lone_files.py    a file that is read by itself, whatever part it is
shards.py        how tensors are parted among new shards
placeholders.py  empty tensors whose weights are somewhere else
weight_names.py  what files of weights are called
listing.py       the files of a directory
companions.py    what a directory holds beside a checkpoint
twins.py         the same model in other files
nested.py        checkpoints in folders below
roots.py         where in a saved object the state dict sits
twin_roots.py    other state dicts with its names
optimizers/      optimizers' states, and copies of parameters that training goes on from
beside.py        files of optimizers beside the weights
names.py         names without what wrappers put before them
ties.py          names that lead to the same bytes
opening.py       opening and reading files that may be anything
hub_cache.py     Hugging Face's cache, whose files are named by their content
not_checkpoints.py  files that are something else, and what to do about it
tar.py           what a tar archive holds
remote.py        names of models that are not on this machine
config.py        config.json beside a checkpoint
strict_json.py   JSON as a hostile file may write it
"""

from initctl.formats.beside import Beside, beside, with_beside
from initctl.formats.checkpoint import Checkpoint
from initctl.formats.checkpoint_file import CheckpointFile, Checksum, Identity
from initctl.formats.config import read_config
from initctl.formats.files import check_is_checkpoint
from initctl.formats.resolve import read_checkpoint

__all__ = [
    "Beside",
    "Checkpoint",
    "CheckpointFile",
    "Checksum",
    "Identity",
    "beside",
    "check_is_checkpoint",
    "read_checkpoint",
    "read_config",
    "with_beside",
]
