"""`initctl help`: a topic or a command explained, or the topics listed."""

from __future__ import annotations

import sys

import typer

from initctl.cli.commands import SUMMARIES, explanation
from initctl.cli.streams import show
from initctl.display.console import document_as_text, rendered
from initctl.display.tables import Listing
from initctl.topics import TOPICS, find_topic, topics

TOPIC = typer.Argument(None, metavar="TOPIC", show_default="list the topics", help="A topic, or a command.")


def help(context: typer.Context, topic: str | None = TOPIC) -> None:  # noqa: A001 - as the command is called
    """Explain a topic, or list the topics.

    Examples with net.safetensors work on the file that `initctl demo DIRECTORY` writes.

    Examples:
    initctl help
    initctl help rules
    """
    if topic is None:
        rows = [(found.name, found.summary.replace("`", "")) for found in topics()]
        table = Listing(("topic", "in one sentence"), rows)
        show(rendered([table, "", "New here? Read rules, patterns, initializers, and output."], sys.stdout))
    elif topic in SUMMARIES and topic not in TOPICS:
        show(explanation(topic, context.parent).drawn())
    else:
        show(document_as_text(find_topic(topic, SUMMARIES).text, sys.stdout))
