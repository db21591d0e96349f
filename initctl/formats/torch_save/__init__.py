"""Files of torch.save as tables. Nothing that a file names is imported or called.

file.py        one file: tensors by the keys that lead to them
contents.py    what the saved object holds
states.py      what it says of optimizers
parallel.py    what it says of ranks
held.py        what lies in what
parts.py       what values are made of
tensors.py     what torch's pickles say of a tensor
inert.py       a pickle read as data
values.py      what stands in it for what it would make
calls.py       what loading it would call
known.py       what checkpoints are known to call
names.py       names of Python 2 as Python 3's
dangers.py     warnings about what is called besides
archive.py     zip archives, as torch has written them since 1.6
legacy.py      the format before
saved.py       what either of them comes to
malformed.py   the fact that all of them raise
"""
