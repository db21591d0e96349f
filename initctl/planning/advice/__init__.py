"""What is probably not meant, though it can be done: reported as warnings, or refused.

findings.py     all of it together
unused.py       rules that decide nothing, and alternatives by which a pattern matches nothing
tied.py         tensors that a file leaves out, since others hold the same
hollow.py       rules that fill only tensors without elements
left_alone.py   tensors that patterns with wildcards leave as they are, and those that no rule decides
presets.py      presets that fill nothing, or leave a part of the weights
averages.py     copies of filled tensors in the same state dict
split.py        quantized weights that are filled in part
surprises.py    values that fit, and are seldom meant, as random running statistics
naming.py       tensors as messages name them

Each module looks at what was decided, and returns problems: a new kind of mistake is a new module, and one line in
`findings`.
"""
