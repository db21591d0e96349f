"""A field on a command line is KEY=VALUE; its value is JSON, or else text."""

from __future__ import annotations

from typing import Any

import pytest

from initctl.cli.fields import fields_by_key
from initctl.errors import UsageError


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("hidden_size=64", {"hidden_size": 64}),
        ("a=1,b=x", {"a": 1, "b": "x"}),
        ("act=gelu_new,n=1.5", {"act": "gelu_new", "n": 1.5}),
        ("a=x,y,b=2", {"a": "x,y", "b": 2}),
        ("a=x, b=2, c=[1], d=y", {"a": "x", "b": 2, "c": [1], "d": "y"}),
        ("a=x,b", {"a": "x,b"}),
        ('a=[1, 2],b={"c": "d,e=f"}', {"a": [1, 2], "b": {"c": "d,e=f"}}),
        ('a=[1, 2],b="x,y=1",c=true,d=null', {"a": [1, 2], "b": "x,y=1", "c": True, "d": None}),
        ("a=null,b=true,c=1e-5", {"a": None, "b": True, "c": 1e-5}),
        ("text_config.vocab_size=7", {"text_config.vocab_size": 7}),
        ("a=b=c", {"a": "b=c"}),
        ("a=", {"a": ""}),
        ('a="5"', {"a": "5"}),
        ("a=5x", {"a": "5x"}),
    ],
)
def test_a_value_is_json_or_else_text_up_to_the_next_field(text: str, fields: dict[str, Any]):
    assert fields_by_key("set", [text]) == fields


def test_the_last_value_of_a_field_counts():
    assert fields_by_key("set", ["a=1,b=2", "a=3"]) == {"a": 3, "b": 2}


@pytest.mark.parametrize(("text", "shown"), [("num_labels", "num_labels"), ("=5", "=5"), ("a=1,b", "b")])
def test_a_text_that_is_not_key_and_value_is_refused(text: str, shown: str):
    with pytest.raises(UsageError) as raised:
        fields_by_key("set-config", [text])
    (problem,) = raised.value.problems
    assert (problem.code, problem.message) == ("usage.set_config", f"set-config: {shown} is not KEY=VALUE")


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ('{"x": 1, "x": 2}', "the name x appears twice"),
        ('{"y": [{"x": 1, "x": 2}]}', "the name x appears twice"),
        (f"{'[' * 100_000}{']' * 100_000}", "nested too deeply"),
        ('{"x": 1', "Expecting ',' delimiter at line 1, column 8"),
        ("[gelu]", "Expecting value at line 1, column 2"),
        ('"x', "Unterminated string starting at line 1, column 1"),
        ("[1, 2] and more", "more text follows it"),
        ('{"x": NaN}', "NaN is not JSON"),
        (' {"x": 1e999}', "a number is too large"),
        ("9" * 5_000, "a number has too many digits"),
    ],
    ids=lambda text: text[:20],
)
def test_a_value_that_begins_like_json_and_is_not_valid_is_no_text(value: str, fault: str):
    with pytest.raises(UsageError) as raised:
        fields_by_key("set-config", [f"a=1,b={value}"])
    (problem,) = raised.value.problems
    assert problem.message == f"set-config: b: is not valid JSON: {fault}"
    assert problem.hint == """text that begins like JSON needs quotes of its own: KEY='"[text]"'"""
    assert fields_by_key("set-config", ["""b="[text]",c=Nancy"""]) == {"b": "[text]", "c": "Nancy"}
