"""Which bytes of a file contain which elements of a tensor: arithmetic on offsets; no file is read.

ranges.py  ranges of a file's bytes
runs.py    consecutive elements, in a tensor and in its file; tiles of a block
pieces.py  how tensors are read: small ones together, large ones in pieces
order.py   the order of a tile's elements in its file; imports NumPy, so import it inside a function
"""
