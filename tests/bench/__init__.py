"""What the work costs, side by side with what it is measured against: `python -m tests.bench`.

timing.py         whole processes, run in turn
checkpoints.py    the files that are worked on
inside.py         functions compared within one process
rows.py           the rows of the table, each with the limit that it must keep
machine.py        what it ran on
"""
