"""What a directory holds: which of its files are the checkpoint, and what the others are.

directory.py     which of its files are the checkpoint, and what to say if none are
sharded.py       an index and its shards
index.py         the index itself
unindexed.py     files of weights without an index
folder.py        what is in a folder
location.py      where a checkpoint is
weight_names.py  what files of weights are called
companions.py    what goes along with a copy, and what is said about it
twins.py         the same model in other files
nested.py        checkpoints in folders below
hub_cache.py     Hugging Face's cache, whose files are named by their content
shards.py        how tensors are spread over new shards
"""
