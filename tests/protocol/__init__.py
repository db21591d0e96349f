"""How a result takes its place, under every fault and at every loss of power.

`python -m tests.protocol` tries every fault at every call; the suite tries some of them.

scenarios.py  results of every kind, each with what must be there before and after
counting.py   lets one call of the system fail, or records all calls that change files
refusals.py   file systems that refuse some of the calls
faults.py     what happens at a call, and what must be true afterwards
disk.py       what a disk may hold after a loss of power
power.py      a loss of power at any moment
"""
