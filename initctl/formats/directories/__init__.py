"""Directories: which of their files are the checkpoint, and what the others are.

directory.py     which files of a directory are the checkpoint, and the errors if none are
index.py         an index and its shards
location.py      where a checkpoint is
folder.py        the files and folders in a folder
nested.py        checkpoints in folders below
weight_names.py  names of files of weights, and which of them contain the same model
companions.py    other files in a directory: which are stale, which a copy leaves out, and the warnings
shards.py        how tensors are distributed over new shards
"""
