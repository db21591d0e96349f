"""The state dict in what a file holds, and the names of its tensors.

roots.py  where in a saved object it is: the root, which names are relative to; and others with its names
names.py  names without what wrappers put before them
ties.py   names that lead to the same bytes
"""
