"""The state dict in a file, and the names of its tensors.

roots.py  where in a saved object it is (the root, which names are relative to), and other state dicts like it
names.py  names without the prefixes of wrappers
ties.py   names that lead to the same bytes
"""
