"""Directories of torch.distributed.checkpoint, to which several processes wrote their parts of each tensor.

directory.py    the directory as a checkpoint
metadata.py     `.metadata`: which tensors there are, how they were cut, and where each chunk is
items.py        the files of chunks
"""
