"""Files of torch.save as tables. Nothing that a file names is imported or called.

file.py              one file
graph.py             the containers in a saved object, and the paths to its tensors
contents.py          other contents of the object, besides tensors
states.py            facts about optimizers in the object
tensors.py           tensors, as torch's pickles describe them
looks.py             entries of dicts, and the limit on reading them
pickle.py            a pickle read as data
tensor_arguments.py  the arguments of a tensor in a pickle, read in one step
standins.py          stand-ins for the values that a pickle would create
calls.py             functions that loading a pickle would call
dangers.py           warnings about them, except those that checkpoints are known to call
archive.py           zip archives, as torch has written them since 1.6
legacy.py            the format before
container.py         the content of both containers: a pickle and storages
"""
