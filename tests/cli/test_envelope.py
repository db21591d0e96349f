"""One JSON document a command, whose keys and their order others depend on."""

from __future__ import annotations

import json

import pytest

from initctl.cli.envelope import document
from initctl.errors import Place, Problem

WARNING = Problem("rule.unused", "rule 1: matches no tensor", "did you mean fc1?", place=Place("r.toml", 4, 9))
ERROR = Problem("file.missing", "x: no such file")


def test_the_keys_and_their_order_are_those_of_version_1():
    text = document("plan", {"a": 1}, warnings=[WARNING], exit_code=0)
    assert json.loads(text, object_pairs_hook=list) == [
        ("schema", "initctl/1"),
        ("command", "plan"),
        ("status", "ok"),
        ("exit_code", 0),
        ("data", [("a", 1)]),
        (
            "warnings",
            [
                [
                    ("code", "rule.unused"),
                    ("message", "rule 1: matches no tensor"),
                    ("hint", "did you mean fc1?"),
                    ("place", [("file", "r.toml"), ("line", 4), ("column", 9)]),
                    ("topic", "rules"),
                ]
            ],
        ),
        ("errors", []),
    ]


def test_a_failure_has_no_data_and_says_why():
    content = json.loads(document("plan", None, exit_code=3, errors=[ERROR]))
    assert (content["status"], content["exit_code"], content["data"]) == ("error", 3, None)
    assert content["errors"] == [
        {"code": "file.missing", "message": "x: no such file", "hint": None, "place": None, "topic": None}
    ]


@pytest.mark.parametrize(
    ("exit_code", "status"), [(0, "ok"), (1, "negative"), (2, "error"), (7, "error"), (130, "error")]
)
def test_the_status_follows_from_the_exit_code(exit_code, status):
    assert json.loads(document(None, None, exit_code=exit_code))["status"] == status


@pytest.mark.parametrize("name", ["é", "\x1b[31m", "x\n::error", "\u202e", "\udc80", "\u2028", "\0"])
def test_any_name_comes_back_whole_from_plain_ascii_without_control_characters(name):
    text = document("inspect", {"name": name})
    assert json.loads(text)["data"]["name"] == name
    assert text.isascii()
    assert text.replace("\n", "").isprintable()


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_what_json_cannot_write_is_never_written(number):
    with pytest.raises(ValueError, match="JSON compliant"):
        document("stats", {"mean": number})


def test_numbers_of_64_bits_are_written_in_full():
    assert f'"seed": {2**64 - 1}' in document("plan", {"seed": 2**64 - 1})


def test_a_row_is_one_line_however_much_like_the_end_of_one_its_name_is():
    rows = [{"name": '}, {"', "shape": [1]}, {"name": '\\"}, {"', "parts": [{"a": 1}, {"b": 2}]}, {}]
    text = document("inspect", {"tensors": rows, "empty": [], "none": {}})
    assert json.loads(text)["data"] == {"tensors": rows, "empty": [], "none": {}}
    assert '\n      {"name": "}, {\\"", "shape": [1]},\n' in text
