"""Hostile inputs for everything that reads a file, compared with what other readers say of the same bytes.

`python -m tests.fuzz --minutes N` runs it and prints a table. Each test run replays the corpus, and some inputs more.

target.py     one reader: inputs that it accepts, how to damage them, and what it and other readers say of an input
targets.py    all of them
mutators/     ways to damage an input
oracles.py    what other libraries say of an input
explained.py  the verdicts that differ on purpose, each with its reason
verdicts.py   what a verdict is, and whether it is explained
watch.py      limits on time and memory, and proof that nothing is run or imported
worker.py     one target in a process
corpus.py     small inputs that once showed something
"""
