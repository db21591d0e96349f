"""A JSON text gets other values, and everything else in it stays."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from initctl.formats.config import Setting
from initctl.reshaping.json_text import edited
from initctl.reshaping.settings import changed_fields

TRANSFORMERS = """{
  "hidden_act": "gelu",
  "id2label": {
    "0": "a",
    "1": "b"
  },
  "text_config": {
    "vocab_size": 100
  },
  "vocab_size": 100
}
"""


@pytest.mark.parametrize(
    ("text", "setting", "result"),
    [
        ('{"a": 1}', Setting(("a",), 2), '{"a": 2}'),
        ('{ "a":1 , "b" : [1,\n2]}\n', Setting(("a",), None), '{ "a":null , "b" : [1,\n2]}\n'),
        ('{"a": 1}', Setting(("b",), "x"), '{"a": 1,"b": "x"}'),
        ('{"a": 1, "c": 2}', Setting(("b",), "x"), '{"a": 1, "c": 2, "b": "x"}'),
        ("{}", Setting(("a",), True), '{\n  "a": true\n}'),
        ('{"a": {}, "b": {"a": "}"}}', Setting(("b", "a"), 1), '{"a": {}, "b": {"a": 1}}'),
        ('{"a": {}, "b": 1}', Setting(("a", "c"), 1), '{"a": {"c": 1}, "b": 1}'),
        ('{\n\t"a": 1\n}', Setting(("b",), {"c": 1}), '{\n\t"a": 1,\n\t"b": {\n\t\t"c": 1\n\t}\n}'),
        ('{"ä": 1}', Setting(("ä",), "ö"), '{"ä": "ö"}'),
        ('{"a": 1}', Setting(("a",), "ö"), '{"a": "\\u00f6"}'),
        ('{"a\\"{": "{", "b": 1}', Setting(("b",), 2), '{"a\\"{": "{", "b": 2}'),
    ],
)
def test_only_the_value_changes(text: str, setting: Setting, result: str):
    assert edited(text, [setting]) == result


def test_inner_objects_keep_their_indentation():
    settings = [Setting(("id2label", "2"), "c"), Setting(("text_config", "vocab_size"), 164), Setting(("new",), [1])]
    assert edited(TRANSFORMERS, settings) == (
        TRANSFORMERS.replace('"b"\n', '"b",\n    "2": "c"\n')
        .replace('"vocab_size": 100\n  }', '"vocab_size": 164\n  }')
        .replace('"vocab_size": 100\n}', '"vocab_size": 100,\n  "new": [\n    1\n  ]\n}')
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(), JSON, max_size=4)


@given(OBJECTS, OBJECTS, st.sampled_from([None, 1, 2, "\t"]), st.booleans())
def test_the_changed_fields_lead_from_any_object_to_any_other(old, more, indent, is_ascii):
    new = {**old, **more}
    text = json.dumps(old, indent=indent, ensure_ascii=is_ascii)
    result = edited(text, changed_fields(old, new))
    assert json.loads(result) == new
    assert json.dumps(json.loads(result), sort_keys=True) == json.dumps(new, sort_keys=True)
    if not list(changed_fields(old, new)):
        assert result == text
