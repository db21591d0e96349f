"""Files that hold a part of a model only, and how parts make up a whole.

lone_files.py    a file that is read by itself, whatever part it is: one shard, or one rank's
ranks.py         files in which each rank saved its own part
slices.py        files of slices that ranks wrote, which are one checkpoint together
tiling.py        whether slices make up a tensor
placeholders.py  empty tensors whose weights are somewhere else
"""
