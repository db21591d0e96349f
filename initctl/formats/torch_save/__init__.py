"""Files of torch.save as tables. Nothing that a file names is imported or called.

file.py              one file
graph.py             what is in what in a saved object, and the ways to its tensors
contents.py          what the object says beside tensors
states.py            what it says of optimizers
tensors.py           what torch's pickles say of a tensor
looks.py             what dicts hold, and how often it may be looked at
pickle.py            a pickle read as data
tensor_arguments.py  what it says of a tensor, taken in one step
standins.py          what stands in it for what it would make
calls.py             what loading it would call
dangers.py           warnings about that, but for what checkpoints are known to call
archive.py           zip archives, as torch has written them since 1.6
legacy.py            the format before
container.py         what both containers hold: a pickle and storages
"""
