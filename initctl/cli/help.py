"""`initctl help`: a topic or a command explained, or the topics listed."""

from __future__ import annotations

import sys

import typer

from initctl.cli.commands import SUMMARIES, loaded
from initctl.cli.streams import say, show
from initctl.display.console import document_as_text, rendered
from initctl.display.tables import Listing
from initctl.topics import TOPICS, find_topic, topics

TOPIC = typer.Argument(None, metavar="TOPIC", help="A topic of the list, or a command.")


def help(context: typer.Context, topic: str | None = TOPIC) -> None:  # noqa: A001 - as the command is called
    """Explain a topic, or list the topics.

    Example: initctl help rules
    """
    if topic is None:
        rows = [(found.name, found.summary) for found in topics()]
        show(rendered([Listing(("topic", "in one sentence"), rows)], sys.stdout))
    elif topic in SUMMARIES and topic not in TOPICS:
        say(_help_of(topic, context), sys.stdout)
    else:
        show(document_as_text(find_topic(topic, SUMMARIES).text, sys.stdout))


def _help_of(command: str, context: typer.Context) -> str:
    """What `initctl COMMAND --help` prints."""
    called = loaded(command).make_context(command, [], parent=context.parent, resilient_parsing=True)
    return str(called.get_help())
