"""Foreign strings: what they are shown as, and that each is shown in its own way."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from initctl.escaping import SHOWN_LENGTH, Shown, as_line, escape, forms, shown
from tests.hostile import TEXTS, decoded, is_safe

ESCAPES = [
    ("line\nbreak\r\n", "line\\x0abreak\\x0d\\x0a"),
    ("tab\tnul\0", "tab\\x09nul\\x00"),
    ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
    ("bell\x07 backspace\x08 delete\x7f", "bell\\x07 backspace\\x08 delete\\x7f"),
    ("C1 \x9b31m \x85", "C1 \\x9b31m \\x85"),
    ("no-break\xa0space", "no-break\\xa0space"),
    ("bidi \u202eevil\u202c", "bidi \\u{202e}evil\\u{202c}"),
    ("isolate \u2066x\u2069", "isolate \\u{2066}x\\u{2069}"),
    ("zero\u200bwidth\u200d\ufeff", "zero\\u{200b}width\\u{200d}\\u{feff}"),
    ("joiner\u034fselector\ufe0f", "joiner\\u{34f}selector\\u{fe0f}"),
    ("filler\u3164\u115f", "filler\\u{3164}\\u{115f}"),
    ("separators \u2028\u2029", "separators \\u{2028}\\u{2029}"),
    ("soft\xadhyphen", "soft\\xadhyphen"),
    ("wide\u3000space", "wide\\u{3000}space"),
    ("surrogate \ud800", "surrogate \\u{d800}"),
    ("private \ue000", "private \\u{e000}"),
    ("unassigned \u0378", "unassigned \\u{378}"),
    ("tag \U000e0041", "tag \\u{e0041}"),
    ("##vso[task]", "#\\x23vso[task]"),
    ("a ##VSO[task]", "a #\\x23VSO[task]"),
    ("##teamcity[x]", "#\\x23teamcity[x]"),
    ("##[error]x", "#\\x23[error]x"),
    ("###[x", "##\\x23[x"),
]
HARMLESS = [
    "plain name.weight",
    "größe.重み.🙂",
    "x[::2]",
    "std::vector",
    "a ::error::x",
    "::",
    r"re:layers\.\d+\.(?:a|b)",
    r"C:\models\new",
    r"a\\b",
    r"\x",
    r"\u",
    r"\u{}",
    "# heading",
    "## heading",
    "a:b#c",
    "'quoted'",
]


@pytest.mark.parametrize(("text", "safe"), ESCAPES)
def test_what_could_move_a_cursor_break_a_line_hide_itself_or_be_a_command_is_escaped(text: str, safe: str):
    assert escape(text) == shown(text) == as_line(text) == safe


@pytest.mark.parametrize("text", HARMLESS)
def test_what_does_no_harm_reads_as_it_was_written(text: str):
    assert shown(text) == text


@pytest.mark.parametrize(
    ("line", "safe"),
    [
        ("::error::boom", r":\x3aerror::boom"),
        ("  ::error::boom", r"  :\x3aerror::boom"),
        (":::", r":\x3a:"),
        ("a ::error", "a ::error"),
        (": :", ": :"),
    ],
)
def test_two_colons_are_a_command_at_the_start_of_a_line_only(line: str, safe: str):
    assert as_line(line) == safe


@given(st.text())
@example("\x1b]0;title\x07")
@example(":::")
@example("####vso[")
@example("#\u200b#vso[")
def test_whatever_is_escaped_is_one_printable_line_that_no_log_takes_for_a_command(text: str):
    for safe in (as_line(text), as_line(f"{text}{text}"), as_line(shown(text))):
        assert safe.isprintable()
        assert len(safe.splitlines()) <= 1
        assert is_safe(safe)
        assert not any(unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} for char in safe)


@given(st.text(st.sampled_from("a#[:\\x41u{}\n\x1b\ud800 v'-"), max_size=20))
def test_a_line_that_is_escaped_already_stays_as_it_is(text: str):
    assert as_line(as_line(text)) == as_line(text)
    assert escape(shown(text)) == shown(text)
    assert shown(shown(text)) is shown(shown(text)) or shown(shown(text)) == shown(text)


def test_what_is_shown_already_is_not_shown_again():
    once = shown("\x1b\\x1b")
    assert isinstance(once, Shown)
    assert shown(once) is once


@given(st.text(st.characters(categories=["L", "N"], exclude_characters="\u115f\u1160\u3164\uffa0"), min_size=1))
def test_plain_letters_and_digits_are_shown_as_they_are(text: str):
    text = text[:SHOWN_LENGTH]
    assert shown(text) == text


SHOWN = [
    ("", "''"),
    (" ", "' '"),
    ("\n", "\\x0a"),
    (" padded", "' padded'"),
    ("padded ", "'padded '"),
    ("-o", "'-o'"),
    ("'-o'", "''-o''"),
    ("a b", "a b"),
    ("\\x1b", "\\\\x1b"),
    ("\\\\x1B", "\\\\\\\\x1B"),
    ("\\\x1b", "\\\\\\x1b"),
    ("\\u{202e}", "\\\\u{202e}"),
    (7, "7"),
]


@pytest.mark.parametrize(("text", "seen"), SHOWN)
def test_what_is_empty_or_could_be_overlooked_is_quoted_and_what_looks_like_an_escape_doubled(text: object, seen: str):
    assert shown(text) == seen


def test_an_escape_can_be_told_from_the_same_characters_written_out():
    assert shown("\x1b") != shown("\\x1b")


def test_what_is_long_is_cut_and_says_so():
    assert shown("x" * SHOWN_LENGTH) == "x" * SHOWN_LENGTH
    assert shown("x" * (SHOWN_LENGTH + 1)) == "x" * SHOWN_LENGTH + "…"
    assert len(shown("\U000e0041" * 10**6)) == SHOWN_LENGTH + 1


@given(
    st.text(max_size=SHOWN_LENGTH // len("\\u{10ffff}"))
    | st.text(st.sampled_from("\\x41u{}0a\n\u202e#v[:'- "), max_size=25)
)
@example("\\\n")
@example("\\\\\\x0a")
@example(":\\x3a")
@example("'-'")
@example("#\\x23vso[")
def test_every_string_can_be_read_back_from_what_is_shown(text: str):
    assert decoded(shown(text)) == text
    assert decoded(as_line(shown(text))) == text


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_hostile_texts_are_hostile_and_are_shown_safely(text: str):
    assert is_safe(as_line(shown(text)))
    assert decoded(as_line(shown(text))) == text
    assert not is_safe(text) or re.search(r"\\|\[/", text)


@given(st.text(max_size=30))
def test_the_forms_of_characters_are_the_line(text: str):
    assert len(forms(text)) == len(text)
    assert decoded("".join(forms(text))) == text or text.startswith("'")
