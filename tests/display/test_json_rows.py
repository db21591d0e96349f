"""JSON has a line for each row of a list of objects, and many rows need no memory to be written."""

from __future__ import annotations

import json
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from initctl.display.json_rows import Rows, as_json, json_parts, with_lists

TEXTS = st.sampled_from(['}, {"', '"', "\\", "\n", "é", "x"]) | st.text(max_size=5)
VALUES = st.none() | st.booleans() | st.integers() | TEXTS | st.lists(st.integers(), max_size=3)
ROWS = st.lists(st.dictionaries(TEXTS, VALUES | st.dictionaries(TEXTS, VALUES, max_size=2), max_size=3), max_size=5)
DOCUMENTS = st.dictionaries(TEXTS, st.recursive(VALUES | ROWS, lambda inner: st.dictionaries(TEXTS, inner, max_size=3)))


@given(DOCUMENTS)
def test_it_is_read_as_what_was_written_and_is_ascii(document):
    text = as_json(document)
    assert text.isascii()
    assert json.loads(text) == document


@given(ROWS)
def test_rows_that_are_made_on_the_way_are_written_like_a_list(rows):
    made = {"a": {"rows": Rows(lambda: iter(rows))}}
    assert as_json(made) == as_json({"a": {"rows": rows}})
    assert with_lists(made) == with_lists(made) == {"a": {"rows": rows}}


@pytest.mark.parametrize("number", [1, 999, 1000, 1001, 2500])
def test_each_row_is_a_line(number):
    rows = [{"name": f'{row}}}, {{"name', "in": {"x": [1]}} for row in range(number)]
    lines = as_json({"rows": rows}).splitlines()
    assert lines[:2] == ["{", '  "rows": [']
    assert [json.loads(line.rstrip(",")) for line in lines[2:-2]] == rows
    assert lines[-2:] == ["  ]", "}"]


def test_no_list_of_all_rows_is_made():
    parts = json_parts({"rows": Rows(lambda: ({"row": row} for row in count()))})
    assert "".join(next(parts) for _ in range(4)).startswith('{\n  "rows": [\n    {"row": 0},\n')


def test_what_json_has_no_number_for_is_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        as_json({"rows": [{"x": float("nan")}]})
