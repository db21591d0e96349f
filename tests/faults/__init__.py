"""Every call of the operating system that a command makes is made to fail, one after another.

scenarios.py   the commands, and the small checkpoints that they work on
injecting.py   faults, and runs with one of them: strace lets the N-th call fail, or sends a signal at it
starter.py     the process that starts commands quickly: it has loaded all modules, and forks
judging.py     what must hold after each run, by a reader that knows nothing of initctl
sweeping.py    all faults of all scenarios, or a random sample, and their table

`python -m tests.faults [--minutes N] [--seed N] [SCENARIO…]` prints the table. It needs strace, and the permission to
trace a process of one's own.
"""
