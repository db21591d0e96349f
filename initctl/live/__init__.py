"""A plan on tensors in memory: of a module, or of a state dict. Its modules import torch: import them in functions.

table.py       a model's table: its tensors by the names that a file of it has, and where in memory they are
named.py       the tensors by these names
addresses.py   storages that share addresses
pieces.py      the parts of a tensor that are in this process's memory
piece.py       one of them
dtensors.py    those of a DTensor, by its mesh and its placements
flat_share.py  those of a tensor in a flat parameter
fsdp1.py       the tensors in the flat parameters of FullyShardedDataParallel, by their original names
as_saved.py    the tensors of a model of transformers by the names of its file
window.py      a tensor of a file that is a part of a parameter
planning.py    the plan for a model
choosing.py    plans that fill only some tensors
whole.py       plans for a model of which only a part is in memory
filling.py     carrying out a plan
hook.py        a function that carries out a plan module by module
memory.py      the bytes of a storage
agreement.py   whether all ranks plan the same
"""
