"""JSON that two readers could understand differently is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from initctl.formats.opening import Malformed
from initctl.formats.strict_json import parse_object
from tests.hostile import is_safe

REFUSED = [
    (b"", "Expecting value at line 1, column 1"),
    (b"{", "Expecting property name enclosed in double quotes at line 1, column 2"),
    (b'{\n"a":}', "Expecting value at line 2, column 5"),
    (b'{"a":1,}', "at line 1, column"),
    (b"{'a':1}", "Expecting property name enclosed in double quotes"),
    (b'{"a":01}', "Expecting ',' delimiter"),
    (b'{"a":1} x', "Extra data at line 1, column 9"),
    (b'{"a":1}\x00', "Extra data"),
    (b'{"a":1}//', "Extra data"),
    (b'{"a":"\n"}', "Invalid control character"),
    (b'{"a":"\\x"}', "Invalid \\escape"),
    (b"\xef\xbb\xbf{}", "begins with a byte-order mark"),
    (b'{"a":"\xff"}', "not UTF-8 at byte 6"),
    (b"\xff{", "not UTF-8 at byte 0"),
    (b'{"\xed\xa0\x80":1}', "not UTF-8 at byte 2"),
    ('{"a":1}'.encode("utf-16"), "not UTF-8 at byte 0"),
    (b'{"a":NaN}', "NaN is not JSON"),
    (b'{"a":Infinity}', "Infinity is not JSON"),
    (b'{"a":-Infinity}', "-Infinity is not JSON"),
    (b'{"a":1e999}', "a number is too large"),
    (b'{"a":[-1e999]}', "a number is too large"),
    (b'{"a":' + b"1" * 5000 + b"}", "a number has too many digits"),
    (b'{"a":1,"a":1}', "the name a appears twice"),
    (b'{"b":{"a":1,"a":2}}', "the name a appears twice"),
    (b'{"b":[{"a":1,"a":2}]}', "the name a appears twice"),
    (b'{"a":1,"\\u0061":2}', "the name a appears twice"),
    (b'{"\\ud800":1}', "\\u{d800} contains half a surrogate pair"),
    (b'{"a":"x\\udfff"}', "x\\u{dfff} contains half a surrogate pair"),
    (b'{"a":' * 100_000, "nested too deeply"),
    (b'{"a":' + b"[" * 100_000, "nested too deeply"),
    (b"[]", "not a JSON object"),
    (b"null", "not a JSON object"),
    (b"3", "not a JSON object"),
    (b'"{}"', "not a JSON object"),
]


@pytest.mark.parametrize(("text", "fault"), REFUSED, ids=[repr(text[:24]) for text, _ in REFUSED])
def test_doubtful_json_is_refused_with_its_fault(text: bytes, fault: str):
    with pytest.raises(Malformed) as raised:
        parse_object(text)
    assert fault in str(raised.value)
    assert str(raised.value).isprintable()


def test_an_error_shows_a_name_escaped_and_cut():
    name = "\x1b[31m\n::error::\u202e" + "a" * 10_000
    pair = json.dumps(name) + ":1"
    with pytest.raises(Malformed) as raised:
        parse_object(f"{{{pair},{pair}}}".encode())
    message = str(raised.value)
    assert message.isprintable()
    assert is_safe(message)
    assert len(message) < 400


def test_an_escaped_surrogate_pair_is_one_character():
    assert parse_object(b'{"\\ud83d\\ude42":1}') == {"\U0001f642": 1}


def test_names_and_values_of_every_kind_are_kept():
    text = ' {"":null,"a":[1,-2.5e-3,true,{"b":"c"}],"é":"\\u0000","big":18446744073709551615} \n'
    assert parse_object(text.encode()) == {
        "": None,
        "a": [1, -0.0025, True, {"b": "c"}],
        "é": "\0",
        "big": 18446744073709551615,
    }


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), json_values, max_size=4), st.booleans())
def test_what_json_writes_is_read_back(value: dict[str, object], ascii_only: bool):
    assert parse_object(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(st.binary(max_size=64) | st.text('{}[]",:0123456789.eE-+nulltrefas \\\n', max_size=32).map(str.encode))
def test_any_bytes_are_an_object_or_a_one_line_error(data: bytes):
    try:
        value = parse_object(data)
    except Malformed as error:
        fault = str(error)
        assert fault.isprintable()
    else:
        assert value == json.loads(data)
