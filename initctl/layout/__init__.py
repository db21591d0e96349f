"""Which bytes of a file hold which elements of a tensor: arithmetic on places, without a file.

ranges.py  ranges of a file's bytes
runs.py    elements that follow each other: in a tensor and in its file, or in a tensor alone; tiles of a block
pieces.py  what of tensors is read at once: small ones together, large ones in pieces
order.py   how the elements of a tile follow each other in its file; needs NumPy, and is imported where it is used
"""
