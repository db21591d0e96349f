"""`initctl help` lists topics, draws one on a terminal, writes one plainly to a pipe, and knows commands."""

from __future__ import annotations

import re

import pytest

from initctl.cli.commands import SUMMARIES
from initctl.display.console import document_as_text
from initctl.topics import TOPICS, find_topic
from tests.cli.processes import initctl, on_terminal


def test_without_a_topic_all_topics_are_listed_each_with_its_sentence(call):
    heading, *rows, _, advice = call("help").out.splitlines()
    assert heading.split() == ["topic", "in", "one", "sentence"]
    summaries = {name: find_topic(name).summary.replace("`", "") for name in TOPICS}
    assert dict(row.split(maxsplit=1) for row in rows) == summaries
    assert advice == "New here? Read rules, patterns, initializers, and output."


@pytest.mark.parametrize("name", TOPICS)
def test_a_pipe_gets_a_topic_as_it_is_written(call, name):
    assert call("help", name).out == find_topic(name).text


@pytest.mark.parametrize("name", TOPICS)
@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_terminal_gets_a_topic_that_fits_it_except_for_code_which_is_not_broken(terminal, monkeypatch, name, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    text = find_topic(name).text
    drawn = document_as_text(text, terminal)
    lines, code = set(drawn.splitlines()), {f"  {line}".expandtabs() for line in code_of(text)}
    assert code <= lines
    assert max(map(len, lines - code)) <= min(columns, 100)
    assert "```" not in drawn


def code_of(text):
    """The lines of blocks of code, fenced or indented."""
    fence = re.compile(r"^```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    fenced = "".join(fence.findall(text)).splitlines()
    indented = re.findall(r"^ {4,}(?=[^ ]).*", fence.sub("", text), re.MULTILINE)
    return [line for line in (*fenced, *(line[4:] for line in indented)) if line]


def test_help_writes_a_topic_to_a_terminal(folder):
    done = on_terminal("help", "rules", columns=40, NO_COLOR="1")
    assert (done.status, done.err) == (0, "")
    assert "```" not in done.out


def test_in_a_narrow_terminal_no_word_of_a_topic_loses_its_end(folder):
    done = on_terminal("help", "stores", columns=40, NO_COLOR="1")
    assert "…" not in done.out.replace(".initctl-….parts", "")


def test_a_topic_is_colored_on_a_terminal_unless_the_environment_asks_for_no_color(folder):
    assert "\x1b[36mkeep\x1b[0m" in on_terminal("help", "rules").out
    assert "\x1b" not in on_terminal("help", "rules", NO_COLOR="1").out
    assert "\x1b" not in initctl("help", "rules", FORCE_COLOR="1").out


@pytest.mark.parametrize("command", sorted({*SUMMARIES} - {*TOPICS}))
def test_help_of_a_command_without_a_topic_is_what_the_command_says_of_itself(call, command):
    assert call("help", command) == call(command, "--help")


@pytest.mark.parametrize(
    ("topic", "hint"),
    [
        ("paterns", "did you mean patterns?"),
        ("aply", "did you mean apply?"),
        ("sharding", "did you mean sharded?"),
        ("Optimizer", "topics that mention it: torch"),
        ("gpu", "topics that mention it: performance"),
        ("zzz", "`initctl help` lists the topics"),
    ],
)
def test_an_unknown_topic_is_refused_with_the_nearest_one_or_with_those_that_mention_it(call, topic, hint):
    done = call("help", topic)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(f"initctl: error: {topic} is neither a topic nor a command; {hint}")
    assert done.err.count("\n") == 1
