"""The topics of `initctl help`: one Markdown file each, in this folder.

A file is a title, a sentence that says what the topic is about, and then the text. Each file reads on its own; its
examples use the checkpoint that `initctl demo` leaves.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from initctl.errors import Problem, UsageError, shown
from initctl.suggestions import did_you_mean

TOPICS = (
    "rules",
    "patterns",
    "rows",
    "expressions",
    "recipes",
    "presets",
    "initializers",
    "fans",
    "new",
    "output",
    "parts",
    "stores",
    "torch",
    "sharded",
    "distributed",
    "suggest",
    "verify",
    "stats",
    "diff",
    "doctor",
    "reports",
    "pipelines",
    "python",
    "models",
    "plugins",
    "security",
    "performance",
    "reproducibility",
    "statuses",
)
"""In the order in which they are listed."""
_SURE = 0.8
"""How near a name must be to be proposed before a text that has the word."""
_PROPOSED = 3


class Topic(NamedTuple):
    """What `initctl help NAME` shows: Markdown."""

    name: str
    text: str

    @property
    def summary(self) -> str:
        """What it is about: the sentence below the title."""
        return self.text.split("\n\n")[1].replace("\n", " ")


def topics() -> Iterator[Topic]:
    """All of them, in their order."""
    return map(_read, TOPICS)


def find_topic(name: str, others: Iterable[str] = ()) -> Topic:
    """The topic called `name`. Raises `UsageError` that proposes the nearest name, or one of the `others` there are, or
    the topics that speak of it.
    """
    if name not in TOPICS:
        known = [*TOPICS, *others]
        hint = did_you_mean(name, known, similarity=_SURE) or _mentioned(name) or did_you_mean(name, known)
        fault = f"{shown(name)} is neither a topic nor a command"
        raise UsageError(Problem("topic.unknown", fault, hint or "`initctl help` lists the topics"))
    return _read(name)


def _mentioned(word: str) -> str | None:
    """The topics that have `word` in their text, those that have it most often first."""
    written = re.compile(rf"\b{re.escape(word)}\b", re.IGNORECASE)
    counts = {topic.name: len(written.findall(topic.text)) for topic in topics()}
    found = sorted(filter(counts.get, counts), key=lambda name: -counts[name])
    return f"topics that mention it: {', '.join(found[:_PROPOSED])}" if found else None


def _read(name: str) -> Topic:
    with open(os.path.join(os.path.dirname(__file__), f"{name}.md"), encoding="utf-8") as stream:
        return Topic(name, stream.read())
