"""Where to read on after a failure: the help of the command, or the topic that explains what is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from initctl.topics.codes import topic_of

if TYPE_CHECKING:
    from initctl.errors import Problem


def with_pointer(problem: Problem, command: str | None) -> Problem:
    """A `problem` of the command line, with a hint to the help of the `command` if nothing else says what to do."""
    if problem.hint or topic_of(problem) or problem.message.endswith("?"):
        return problem
    return problem._replace(hint=f"see {' '.join(filter(None, ('initctl', command)))} --help")


def topics_of(problems: Iterable[Problem]) -> list[str]:
    """The topics to read about `problems`, without those that propose something or name a command that says more. A
    topic that a hint names is left out.
    """
    problems = tuple(problems)
    unanswered = [p for p in problems if not str(p).endswith("?") and "initctl " not in (p.hint or "")]
    topics = filter(None, (topic_of(problem) for problem in unanswered))
    named = [problem.hint for problem in problems if problem.hint]
    return [topic for topic in dict.fromkeys(topics) if not any(f"initctl help {topic}" in hint for hint in named)]
