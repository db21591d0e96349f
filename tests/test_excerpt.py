"""An excerpt: safe as a line, with carets under the characters that are meant, however they are shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from initctl.excerpt import Excerpt
from tests.hostile import TEXTS, is_safe


def under(line: str, carets: str) -> str:
    """What of `line` the carets are under."""
    start = len(carets) - len(carets.lstrip())
    assert set(carets[start:]) == {"^"}
    columns = [char for char in line for _ in range(cell_len(char))]
    return "".join(columns[start : len(carets)])


def pointed(text: str, fault: str) -> tuple[str, str]:
    start = text.index(fault)
    return Excerpt(text, start, start + len(fault)).lines()


@pytest.mark.parametrize(
    ("text", "fault", "line", "seen"),
    [
        ("*.w=normal:std=x", "x", "*.w=normal:std=x", "x"),
        ("a\x1b[31m=nomal", "nomal", r"a\x1b[31m=nomal", "nomal"),
        ("a=n\x1bm", "n\x1bm", r"a=n\x1bm", r"n\x1bm"),
        ("重み=nomal", "nomal", "重み=nomal", "nomal"),
        ("e\u0301=nomal", "nomal", "e\u0301=nomal", "nomal"),
        ("::error file=a.py::x", "error", r":\x3aerror file=a.py::x", "error"),
        ("  ::error", "error", r"  :\x3aerror", "error"),
        ("std=##vso[x]y", "vso", r"std=#\x23vso[x]y", "vso"),
        ("std=##vso[x]y", "#vso", r"std=#\x23vso[x]y", r"\x23vso"),
        (r"a\x41=nomal", "nomal", r"a\\x41=nomal", "nomal"),
        (r"re:\d+=nomal", "nomal", r"re:\d+=nomal", "nomal"),
    ],
)
def test_carets_are_under_what_the_fault_is_shown_as(text: str, fault: str, line: str, seen: str):
    shown, carets = pointed(text, fault)
    assert shown == line
    assert under(shown, carets) == seen


@pytest.mark.parametrize("piece", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("border", range(0, 30, 3))
def test_no_command_survives_across_the_borders_of_the_fault(piece: str, border: int):
    line, carets = Excerpt(piece, border, border + 2).lines()
    assert is_safe(f"  {line}\n  {carets}")


def test_a_long_text_is_cut_around_the_fault():
    line, carets = pointed("a" * 300 + "!" + "b" * 300, "!")
    assert line == "…" + "a" * 40 + "!" + "b" * 79 + "…"
    assert under(line, carets) == "!"


def test_a_fault_at_the_end_has_one_caret_behind_the_text():
    assert Excerpt("abc", 3, 4).lines() == ("abc", "   ^")


@given(st.text(max_size=60), st.integers(0, 60), st.integers(0, 60))
def test_whatever_is_pointed_at_two_safe_lines_come_out(text: str, start: int, length: int):
    line, carets = Excerpt(text, min(start, len(text)), min(start, len(text)) + length).lines()
    assert is_safe(f"  {line}")
    assert carets.strip(" ").strip("^") == ""


def test_parts_of_an_excerpt_are_excerpts_of_the_same_text():
    text = "a =  b c "
    part = Excerpt.of(text).part(3, 9)
    assert str(part) == "  b c "
    assert part.stripped() == Excerpt(text, 5, 8)
    assert part.stripped().part(2, 3) == Excerpt(text, 7, 8)
    assert Excerpt(text, 0, 1).up_to(part) == Excerpt.of(text)
    assert Excerpt(text, 3, 5).stripped() == Excerpt(text, 5, 5)
