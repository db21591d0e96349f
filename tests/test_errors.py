"""Errors: what they carry, and how foreign strings are shown."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from initctl import errors
from initctl.errors import SHOWN_LENGTH, InitctlError, Problem, RuleError, UsageError, escape, shown

STATUSES = {
    "UsageError": 2,
    "RuleError": 2,
    "InputError": 3,
    "FitError": 4,
    "StorageError": 5,
    "ConflictError": 6,
    "UncertainError": 7,
}


def test_the_tree_is_the_one_drawn_with_its_exit_statuses():
    drawn = {name: kind for name, kind in vars(errors).items() if name.endswith("Error") and name != "InitctlError"}
    assert {name: kind.exit_status for name, kind in drawn.items()} == STATUSES
    assert all(issubclass(kind, InitctlError) for kind in drawn.values())
    assert issubclass(RuleError, UsageError)
    for name, status in STATUSES.items():
        (line,) = (line for line in errors.__doc__.splitlines() if f"── {name} " in line)
        assert line.split(name)[1].split()[0] == str(status)


def test_a_problem_reads_as_what_is_wrong_and_what_to_do():
    assert str(Problem("rule.glob", "pattern x: empty")) == "pattern x: empty"
    assert str(Problem("rule.glob", "pattern x: empty", "write *")) == "pattern x: empty; write *"


def test_an_error_carries_its_problems_and_reads_as_a_line_for_each():
    problems = Problem("a", "first", "do this"), Problem("b", "second")
    error = errors.FitError(*problems)
    assert error.problems == problems
    assert str(error) == "first; do this\nsecond"


ESCAPES = [
    ("plain name.weight", "plain name.weight"),
    ("größe.重み.🙂", "größe.重み.🙂"),
    ("line\nbreak\r\n", "line\\x0abreak\\x0d\\x0a"),
    ("tab\tnul\0", "tab\\x09nul\\x00"),
    ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
    ("bell\x07 backspace\x08 delete\x7f", "bell\\x07 backspace\\x08 delete\\x7f"),
    ("C1 \x9b31m \x85", "C1 \\x9b31m \\x85"),
    ("no-break\xa0space", "no-break\\xa0space"),
    ("bidi \u202eevil\u202c", "bidi \\u{202e}evil\\u{202c}"),
    ("isolate \u2066x\u2069", "isolate \\u{2066}x\\u{2069}"),
    ("zero\u200bwidth\u200d\ufeff", "zero\\u{200b}width\\u{200d}\\u{feff}"),
    ("separators \u2028\u2029", "separators \\u{2028}\\u{2029}"),
    ("soft\xadhyphen", "soft\\xadhyphen"),
    ("wide\u3000space", "wide\\u{3000}space"),
    ("surrogate \ud800", "surrogate \\u{d800}"),
    ("private \ue000", "private \\u{e000}"),
    ("unassigned \u0378", "unassigned \\u{378}"),
    ("tag \U000e0041", "tag \\u{e0041}"),
    ("::error::boom", ":\\x3aerror:\\x3aboom"),
    ("a ::set-output", "a :\\x3aset-output"),
    ("##vso[task]", "#\\x23vso[task]"),
    ("##teamcity[x]", "#\\x23teamcity[x]"),
    ("std::vector", "std:\\x3avector"),
    ("a:b#c", "a:b#c"),
]


@pytest.mark.parametrize(("text", "safe"), ESCAPES)
def test_what_could_move_a_cursor_break_a_line_or_hide_itself_is_escaped(text, safe):
    assert escape(text) == safe


@given(st.text())
@example("\x1b]0;title\x07")
@example(":::")
@example("####")
def test_whatever_is_escaped_is_one_printable_line_that_no_log_takes_for_a_command(text):
    safe = escape(text)
    assert safe.isprintable()
    assert len(safe.splitlines()) <= 1
    assert "::" not in safe
    assert "##" not in safe
    assert not any(unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} for char in safe)


@given(st.text(st.characters(categories=["L", "N"], exclude_characters="\u115f\u1160\u3164\uffa0"), min_size=1))
def test_plain_letters_and_digits_are_shown_as_they_are(text):
    text = text[:SHOWN_LENGTH]
    assert shown(text) == text


SHOWN = [
    ("", "''"),
    (" ", "' '"),
    ("\n", "\\x0a"),
    (" padded", "' padded'"),
    ("padded ", "'padded '"),
    ("-o", "'-o'"),
    ("a b", "a b"),
    ("a\\b", "a\\\\b"),
    ("\\x1b", "\\\\x1b"),
    (7, "7"),
]


@pytest.mark.parametrize(("text", "seen"), SHOWN)
def test_what_is_empty_or_could_be_overlooked_is_quoted_and_backslashes_are_doubled(text, seen):
    assert shown(text) == seen


def test_an_escape_can_be_told_from_the_same_characters_written_out():
    assert shown("\x1b") != shown("\\x1b")


def test_what_is_long_is_cut_and_says_so():
    assert shown("x" * SHOWN_LENGTH) == "x" * SHOWN_LENGTH
    assert shown("x" * (SHOWN_LENGTH + 1)) == "x" * SHOWN_LENGTH + "…"
    assert len(shown("\U000e0041" * 10**6)) == SHOWN_LENGTH + 1


uncut = st.text(st.characters(exclude_characters="'"), max_size=SHOWN_LENGTH // len("\\u{10ffff}"))


@given(uncut, uncut)
@example("\\x0a", "\n")
@example(":\\x3a", "::")
def test_different_strings_are_shown_differently(one, other):
    assert (shown(one) == shown(other)) == (one == other)
