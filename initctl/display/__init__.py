"""Results as tables and sentences: plain data, and how a terminal, a notebook and a pipe show them.

    tables.py      a table, and numbers in words
    folding.py     many rows that differ in layer numbers as one
    displayed.py   a result that shows itself
    console.py     where text goes, and whether it may be colored
    progress.py    bytes and rate while work is going on

What a table says is decided by the result that makes it. rich is loaded only if it draws.
"""
