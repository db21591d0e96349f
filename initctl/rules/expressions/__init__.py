"""Arithmetic in rules. Nothing is ever handed to `eval`.

    value      + - * / **, unary minus, parentheses, numbers, `pi`, names, shape[i], sqrt log exp abs min max
               first(a, b), which is a if that is known, else b
    condition  values and texts compared by == != < <= > >=, combined by `and`, `or`, `not`; true, false

Whoever asks for a value says what names stand for.

expression.py   an expression: its text, its tree, its value, the variables that it needs
terms.py        what it is made of, and the value of each part
parser.py       text → tree
"""
