"""Files that contain only a part of a model, and how parts are put together.

lone_files.py    a single file, which may be one shard, or one rank's file
ranks.py         files in which each rank saved its own part
slices.py        files of slices that ranks wrote, which together are one checkpoint
tiling.py        whether slices cover a tensor exactly
placeholders.py  empty tensors whose weights are somewhere else
"""
