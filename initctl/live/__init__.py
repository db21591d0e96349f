"""A plan on tensors in memory: of a module, or of a state dict. Its modules import torch: import them in functions.

piece.py     one part of a tensor, in this process's memory
pieces.py    the parts of a tensor that are in this process's memory
dtensors.py  those of a DTensor, by its mesh and its placements
"""
