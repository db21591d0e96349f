"""One result, written by several processes. Values do not depend on who computes them, so each can write any part.

parts.py     a result in parts: split, written, committed
split.py     which bytes each part writes
job.py       what all parts of one result agree on, and the directory that they share
note.py      what the first part notes, for the others to match
receipt.py   what a part leaves behind when it is done
progress.py  tables of the split, and of the parts that are written
"""
