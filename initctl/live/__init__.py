"""A plan on tensors in memory: of a module, or of a state dict. Its modules import torch: import them in functions.

pieces.py  the parts of a tensor that are in this process's memory
"""
