"""Arithmetic in rules. Nothing is passed to `eval`.

    value      + - * / **, unary minus, parentheses, numbers, `pi`, names, shape[i], sqrt log exp abs min max
               first(a, b), which is a if it has a value, else b
               lerp(a, b, t), from a at t = 0 to b at t = 1
    condition  values and strings compared by == != < <= > >=, combined by `and`, `or`, `not`; true, false

The caller supplies the values of names.

expression.py   an expression: its text, its tree, its value, the variables that it needs
terms.py        the terms of an expression, and the value of each
parser.py       text → tree
meant.py        what to write in place of what expressions do not have
"""
