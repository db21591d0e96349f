"""Globs match the names that they are made for, and no others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from initctl.rules import parse_selector
from initctl.suggesting.patterns import Patterns

PARTS = st.one_of(
    st.sampled_from(
        ["h", "0", "1", "2", "10", "03", "weight", "bias", "*", "{a,b}", "re:x", "a[0:1]", "", "\\", "é\n"]
    ),
    st.text(st.characters(codec="utf-8", exclude_characters="."), max_size=3),
)
NAMES = st.lists(PARTS, min_size=1, max_size=4).map(".".join)


def matched(pattern, names):
    selector = parse_selector(pattern)
    assert selector.rows is None
    return {name for name in names if selector.names.matches(name)}


@given(st.dictionaries(NAMES, st.integers(0, 2), min_size=1, max_size=30))
def test_each_group_is_matched_whole_and_alone(groups):
    patterns = Patterns(groups)
    for group in set(groups.values()):
        names = {name for name, of in groups.items() if of == group}
        globs = patterns.of(group, sorted(names))
        assert set().union(*(matched(glob, groups) for glob in globs)) == names
        assert all(matched(glob, groups) for glob in globs)


@pytest.mark.parametrize(
    ("chosen", "others", "globs"),
    [
        (["a.bias", "b.bias"], ["a.weight"], ["*.bias"]),
        (["a.bias"], ["a.weight"], ["a.bias"]),
        (["bias", "a.bias", "b.bias"], ["a.weight"], ["*.bias", "bias"]),
        (["h.0.fc.w", "h.1.fc.w"], ["h.2.fc.w"], ["h.{0,1}.fc.w"]),
        (["h.0.q.w", "h.1.q.w", "h.0.k.w", "h.1.k.w"], ["h.0.o.w"], ["*.{q,k}.w"]),
        (["s.0.w", "s.1.w", "s.2.w"], ["t.0.w"], ["s.{0..2}.w"]),
        (["x.0.a.w", "y.0.a.w", "x.3.a.w", "y.3.a.w"], ["x.1.a.w"], ["x.{0,3}.a.w", "y.{0,3}.a.w"]),
        (["h.03.w", "h.3.w"], ["h.003.w"], ["h.{03,3}.w"]),
        (["h.1.w", "h.2.w", "h.3.w"], ["h.02.w"], ["h.{1,2,3}.w"]),
        (["a{.w", "a,.w"], ["a.w"], [r"{a\{,a\,}.w"]),
    ],
)
def test_globs_are_as_short_as_a_person_would_write_them(chosen, others, globs):
    assert Patterns({**dict.fromkeys(chosen, 0), **dict.fromkeys(others, 1)}).of(0, chosen) == globs


def test_ten_thousand_layers_are_one_glob():
    names = [f"h.{number}.w" for number in range(10_000)]
    assert Patterns({**dict.fromkeys(names, 0), "w.w": 1}).of(0, names) == ["h.{0..9999}.w"]


def test_numbers_without_order_never_make_a_glob_that_is_too_long():
    names = [f"h.{number * number}.w" for number in range(1000)]
    globs = Patterns({**dict.fromkeys(names, 0), "w.w": 1}).of(0, names)
    assert set().union(*(matched(glob, names) for glob in globs)) == set(names)
    assert max(map(len, globs)) < 2000
