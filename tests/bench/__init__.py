"""What the work costs, side by side with what it is measured against: `python -m tests.bench`.

timing.py         whole processes, run in turn
checkpoints.py    the files that are worked on
inside.py         functions compared within one process
bench.py          where they are worked on, and how often
operators.py      laws and operators, each with its limit and a script in torch
slow_store.py     a store at the end of a slow line
rows.py           the rows of the table, each with the limit that it must keep
result.py         what one row shows
machine.py        what it ran on
"""
