"""One result, written by several processes. Values do not depend on who computes them, so each can write any part.

parts.py        a result in parts: split, written, committed
split.py        which bytes each part writes
job.py          what all parts of one result agree on
jobs.py         which kind of job that is
staged_job.py   parts of files, in a directory that all processes share
uploaded_job.py parts of objects in a store
object_notes.py notes that processes leave there
note.py         what the first part notes, for the others to match
receipt.py      what a part leaves behind when it is done
ranks.py        the ranks of one run, which exchange what they found, and failures
waiting.py      waits for other ranks that a signal can end
launcher.py     what a launcher says in the environment
applying.py     one result that ranks write
progress.py     tables of the split, and of the parts that are written
"""
