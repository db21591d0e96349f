"""What is probably not meant, though it can be done: reported as warnings, or refused.

unused.py           rules that decide nothing, or only tensors without elements, and alternatives that match nothing
left_alone.py       tensors that patterns with wildcards leave as they are, and those that no rule decides
unfit_presets.py    presets that fill nothing, or leave a part of the weights
averages.py         copies of filled tensors in the same state dict
surprises.py        values that fit, and are seldom meant, as random running statistics
quantized_names.py  quantized weights as messages name them

Each function looks at what was decided, and yields problems: a new kind of mistake is a new function, and one line in
the planner.
"""
