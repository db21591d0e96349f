"""What a directory holds: which of its files are the checkpoint, and what the others are.

directory.py     which of its files are the checkpoint, and what to say if none are
index.py         an index and its shards
location.py      where a checkpoint is
folder.py        what is in a folder
nested.py        checkpoints in folders below
weight_names.py  what files of weights are called, and which hold the same model
companions.py    what goes along with a copy, and what is said about it
shards.py        how tensors are spread over new shards
"""
