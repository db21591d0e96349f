"""Probable mistakes: reported as warnings, or refused.

unused.py           rules that decide nothing, or only tensors without elements, and alternatives that match nothing
left_alone.py       tensors that patterns with wildcards skip, and tensors that no rule decides
unfit_presets.py    presets that fill nothing, or leave some weights
averages.py         copies of filled tensors in the same state dict
surprises.py        values that fit but are seldom intended, such as random running statistics
fields.py           fields of config.json that do not fit new sizes, or that it does not have yet
left_behind.py      tensors that do not follow one that gets another number of rows
reversed_fans.py    fans that are counted the wrong way round
quantized_names.py  the names of quantized weights in messages

Each function takes what was decided and yields problems. A new kind of mistake is a new function and one line in the
planner.
"""
