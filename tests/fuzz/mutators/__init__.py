"""Ways to damage an input, by what it is: each takes a source of chance, an input, and others to take parts from.

raw.py       bytes of any kind
trees.py     JSON
archives.py  zip archives of torch.save
pickles.py   the instructions of a pickle
texts.py     the words of a rule or a recipe
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

Mutator = Callable[[Random, bytes, Sequence[bytes]], bytes]
"""Returns the changed input."""
