"""The topics of `initctl help` are complete, and what they show is what happens."""

from __future__ import annotations

import re

import pytest

from initctl.cli.commands import SUMMARIES
from initctl.errors import Problem
from initctl.topics import TOPICS, find_topic
from initctl.topics.codes import _EXPLAINED, topic_of
from tests.readme import README
from tests.topics import FOLDER, rerun_topic


def test_each_file_is_a_topic_and_each_topic_has_a_file():
    assert sorted(path.stem for path in FOLDER.glob("*.md")) == sorted(TOPICS)


@pytest.mark.parametrize("name", TOPICS)
def test_every_block_of_a_topic_runs_and_prints_what_it_shows(name, tmp_path):
    assert rerun_topic(name, tmp_path) == find_topic(name).text


@pytest.mark.parametrize("name", TOPICS)
def test_a_topic_is_a_title_then_one_sentence_then_the_text(name):
    title, summary, *rest = find_topic(name).text.split("\n\n")
    assert re.fullmatch(r"# [A-Z][A-Za-z. ]+", title)
    assert summary.endswith(".")
    assert rest
    assert max(map(len, find_topic(name).summary.splitlines())) <= 120


@pytest.mark.parametrize("name", TOPICS)
def test_whatever_a_topic_refers_to_is_there(name):
    for referred in re.findall(r"initctl help ([a-z]+)", find_topic(name).text):
        assert referred in {*TOPICS, *SUMMARIES}


def test_the_readme_names_every_topic_and_says_how_many_there_are():
    (table,) = re.findall(r"^## Read on\n(.*?)^\[examples\]", README.read_text(), re.MULTILINE | re.DOTALL)
    rows = re.findall(r"^\| \w[^|]* \| ([^|]*) \|$", table, re.MULTILINE)
    assert sorted(", ".join(rows).split(", ")) == sorted(TOPICS)
    assert f"explains {len(TOPICS)} topics" in table


def test_each_code_that_a_topic_explains_is_one_of_a_problem():
    source = "".join(path.read_text() for path in FOLDER.parent.rglob("*.py") if path.parent != FOLDER)
    for topic, codes in _EXPLAINED.items():
        assert topic in TOPICS
        for code in codes:
            assert f'"{code}' in source


def test_a_code_has_one_topic_by_itself_or_by_what_it_begins_with():
    codes = [code for codes in _EXPLAINED.values() for code in codes]
    assert len({*codes}) == len(codes)
    assert tuple(topic_of(Problem(code, "")) for code in ("rule.glob", "preset.unknown", "file.missing")) == (
        "patterns",
        "presets",
        None,
    )
