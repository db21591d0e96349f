"""Checkpoints as tables: which files, and where in them each tensor lies. No tensor byte is read.

checkpoint.py    the table itself
resolve.py       which format a path holds, by its content
safetensors.py   one .safetensors file
sharded.py       an index and its shards, or the directory that holds them
index.py         the index itself
listing.py       the files of a directory
opening.py       opening and reading files that may be anything
hub_cache.py     Hugging Face's cache, whose files are named by their content
foreign.py       files that are something else, and what to do about it
strict_json.py   JSON as a hostile file may write it
names.py         names relative to the root
"""

from initctl.formats.checkpoint import Checkpoint, CheckpointFile, Identity
from initctl.formats.resolve import read_checkpoint

__all__ = ["Checkpoint", "CheckpointFile", "Identity", "read_checkpoint"]
