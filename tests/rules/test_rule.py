"""Rules: `selector=call` as text, and what is none."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from initctl.errors import Excerpt, RuleError
from initctl.escaping import SHOWN_LENGTH
from initctl.rules import Call, Origin, parse_call, parse_rule

RULES = [
    ("*.bias=zeros", "*.bias", Call("zeros")),
    ("fc*.weight=normal:std=0.01", "fc*.weight", Call("normal", (("std", "0.01"),))),
    ("w=uniform:a=-1,b=1", "w", Call("uniform", (("a", "-1"), ("b", "1")))),
    (" w = normal : std = 0.02 , mean = 1 ", "w", Call("normal", (("std", "0.02"), ("mean", "1")))),
    ("\tw\t=\tzeros\n", "w", Call("zeros")),
    ("*.{q,k}.w=xavier_uniform:gain=0.5", "*.{q,k}.w", Call("xavier_uniform", (("gain", "0.5"),))),
    ("lm_head.*=keep", "lm_head.*", Call("keep")),
    (r"a\=b=zeros", r"a\=b", Call("zeros")),
    ("a[=]b=zeros", "a[=]b", Call("zeros")),
    ("a[[=]b=zeros", "a[[=]b", Call("zeros")),
    (r"a[\]=]b=zeros", r"a[\]=]b", Call("zeros")),
    ("w=constant:val==", "w", Call("constant", (("val", "="),))),
    ("w=my-plugin.init:alpha_1=x y", "w", Call("my-plugin.init", (("alpha_1", "x y"),))),
    ("w=normal:std=a:b", "w", Call("normal", (("std", "a:b"),))),
    ("w=normal:std=sqrt(2/fan_in)", "w", Call("normal", (("std", "sqrt(2/fan_in)"),))),
    ("x[0-9]=zeros", "x[0-9]", Call("zeros")),
    (r"x[a\:b]=zeros", r"x[a\:b]", Call("zeros")),
    ("w=uniform:a=min(1,2),b=shape[0]", "w", Call("uniform", (("a", "min(1,2)"), ("b", "shape[0]")))),
    (r"re:l\.[=0-9]+\.w=zeros", r"re:l\.[=0-9]+\.w", Call("zeros")),
    (r"x\[0:2]=zeros", r"x\[0:2]", Call("zeros")),
    (r"x[0\:2]y=zeros", r"x[0\:2]y", Call("zeros")),
]


@pytest.mark.parametrize(("text", "pattern", "call"), RULES)
def test_a_rule_is_a_pattern_and_a_call(text: str, pattern: str, call: Call):
    rule = parse_rule(text, "rule 1")
    assert (rule.text, rule.source, rule.selector.names.pattern, rule.call) == (text, "rule 1", pattern, call)


def test_a_rule_shows_its_source_and_its_text():
    assert str(parse_rule("*.bias=zeros", "rule 2")) == "rule 2 (*.bias=zeros)"


ORIGINS = [
    (Origin("rule 2"), "rule 2", "rule 2"),
    (
        Origin("rule 2", "a/r.toml", source=Excerpt("\n\nx *.bias", 4, 10, "a/r.toml")),
        "a/r.toml: rule 2",
        "a/r.toml:3:3: rule 2",
    ),
    (Origin("rule 2", "a\x1b.toml"), "a\\x1b.toml: rule 2", "a\\x1b.toml: rule 2"),
    (Origin("rule 2", preset="gpt2"), "preset gpt2: rule 2", "preset gpt2: rule 2"),
]


@pytest.mark.parametrize(("origin", "source", "place"), ORIGINS)
def test_a_plan_names_where_a_rule_comes_from_and_a_message_the_line_too(origin: Origin, source: str, place: str):
    rule = dataclasses.replace(parse_rule("*.bias=zeros", ""), origin=origin)
    assert rule.source == source
    assert str(rule) == f"{place} (*.bias=zeros)"


def test_a_narrow_table_names_a_rule_by_its_line_if_that_is_known():
    seventh = Excerpt("\n" * 6 + "*.bias", 6, 12, "a/r.toml")
    assert Origin("rule 2", "a/r.toml", source=seventh).brief == "a/r.toml:7"
    assert Origin("rule 2", "a/r.toml").brief == "a/r.toml: rule 2"
    assert Origin("rule 2").brief == "rule 2"


ERRORS = [
    ("", "no '=' between pattern and initializer", "write PATTERN=INITIALIZER, for example '*.bias=zeros'"),
    ("*.bias", "no '=' between pattern and initializer", "write PATTERN=INITIALIZER, for example '*.bias=zeros'"),
    (r"a\=zeros", "no '=' between pattern and initializer", "write PATTERN=INITIALIZER, for example '*.bias=zeros'"),
    ("a[=zeros", "a bracket is not closed", r"write \[ for the character itself"),
    ("w=", "the initializer is missing", "write, for example, normal:std=0.02"),
    ("w= ", "the initializer is missing", "write, for example, normal:std=0.02"),
    ("w=:std=1", "the initializer is missing", "write, for example, normal:std=0.02"),
    ("w==zeros", "=zeros cannot be an initializer's name", "write, for example, normal:std=0.02"),
    ("w=1x", "1x cannot be an initializer's name", "write, for example, normal:std=0.02"),
    ("w=normal(0.02)", "normal(0.02) cannot be an initializer's name", "write, for example, normal:std=0.02"),
    ("w=normal,std=1", "normal,std=1 cannot be an initializer's name", "write, for example, normal:std=0.02"),
    ("w=normál", "normál cannot be an initializer's name", "write, for example, normal:std=0.02"),
    ("w=normal:", "nothing after the ':'", "write normal alone, or normal:key=value"),
    ("w=normal: ", "nothing after the ':'", "write normal alone, or normal:key=value"),
    ("w=normal:0.02", "0.02 is not key=value", "write normal:std=0.02"),
    ("w=normal: 0, 1e-2", "0 is not key=value", "write normal:mean=0,std=1e-2"),
    ("w=const:0", "0 is not key=value", "write constant:val=0"),
    ("w=constant:0", "0 is not key=value", "write constant:val=0"),
    ("w=uniform:-1,1", "'-1' is not key=value", "write uniform:a=-1,b=1"),
    ("w=uniform:0.1", "0.1 is not key=value", "write parameters as std=0.02, separated by commas"),
    ("w=normal:0,std=1", "0 is not key=value", "write parameters as std=0.02, separated by commas"),
    ("w=orthogonal:2", "2 is not key=value", "write orthogonal:gain=2"),
    ("w=kaiming_normal:relu", "relu is not key=value", "write kaiming_normal:nonlinearity=relu"),
    ("w=normal:std", "std is not key=value", "write parameters as std=0.02, separated by commas"),
    ("w=normal:std=", "std= is not key=value", "write parameters as std=0.02, separated by commas"),
    ("w=normal:=1", "=1 is not key=value", "write parameters as std=0.02, separated by commas"),
    ("w=normal:std=1,", "there is an extra comma", "delete it"),
    ("w=normal:std=1,,mean=0", "there is an extra comma", "delete it"),
    ("w=zeros if ndim == 2", "zeros if ndim == 2 cannot be an initializer's name", "write where instead of if"),
    (
        "w=zeros fc.b=ones",
        "zeros fc.b=ones cannot be an initializer's name",
        "if these are two rules, give each its own -r",
    ),
    ("w=normal:s td=1", "s td=1 is not key=value", "write parameters as std=0.02, separated by commas"),
    ("w=normal:std=1,std=2", "parameter std is given twice", None),
    ("w=normal:std=1,mean=0, std = 1", "parameter std is given twice", None),
]


@pytest.mark.parametrize(("text", "fault", "hint"), ERRORS)
def test_what_is_no_rule_is_refused_with_its_fault_and_a_way_out(text: str, fault: str, hint: str | None):
    with pytest.raises(RuleError) as raised:
        parse_rule(text, "rule 3")
    (problem,) = raised.value.problems
    assert raised.value.exit_status == 2
    assert problem.code == "rule.syntax"
    assert problem.message.startswith("rule 3 (")
    assert problem.message.endswith(f"): {fault}")
    assert problem.hint == hint


SLICES = [
    ("e[32000:]=zeros", "e", "[32000:]", ("32000", None)),
    ("e[:-2]=zeros", "e", "[:-2]", (None, "-2")),
    ("*.e[1:2]=zeros", "*.e", "[1:2]", ("1", "2")),
    ("e[:]=zeros", "e", "[:]", (None, None)),
    ("e[ config.pad : config.pad+1 ]=zeros", "e", "[ config.pad : config.pad+1 ]", (" config.pad ", " config.pad+1 ")),
    ("e[shape[0]-10:]=zeros", "e", "[shape[0]-10:]", ("shape[0]-10", None)),
    ("re:a+[1:2]=zeros", "re:a+", "[1:2]", ("1", "2")),
]


@pytest.mark.parametrize(("text", "pattern", "rows", "bounds"), SLICES)
def test_a_trailing_bracket_with_a_colon_takes_rows(text: str, pattern: str, rows: str, bounds: tuple[str | None, ...]):
    selector = parse_rule(text, "rule 1").selector
    assert selector.names.pattern == pattern
    assert selector.rows is not None
    assert selector.rows.text == rows
    assert tuple(b and b.text for b in (selector.rows.start, selector.rows.stop)) == bounds


def test_a_slice_has_no_step():
    with pytest.raises(RuleError, match=r"\[0:2:1\]: a slice of rows cannot have a step; write \[START:STOP\]"):
        parse_rule("e[0:2:1]=zeros", "rule 1")


@pytest.mark.parametrize("slices", ["[:, 5]", "[5, :]", "[:,:5]", "[2:min(3, 4), 1]"])
def test_a_slice_takes_rows_and_no_columns(slices: str):
    with pytest.raises(RuleError, match=r"rows, but not columns; write \[START:STOP\], such as \[5:6\]"):
        parse_rule(f"fc.weight{slices}=zeros", "rule 1")


@pytest.mark.parametrize("text", ["=zeros", " =zeros", "[8-11]=zeros", "{x.y}=zeros", "{5..2}=zeros", "{a=zeros"])
def test_the_fault_of_a_pattern_is_told_with_the_rule_that_holds_it(text: str):
    with pytest.raises(RuleError) as raised:
        parse_rule(text, "recipe.toml, rule 2")
    (problem,) = raised.value.problems
    assert problem.code == "rule.glob"
    assert problem.message.startswith("recipe.toml, rule 2 (")
    assert ": pattern " in problem.message


CONDITIONS = [
    ("*=zeros where ndim == 1", "ndim == 1"),
    ("  * = zeros   where  not numel > 3 ", "not numel > 3"),
    ("*=normal:std=0.1,mean=2 where ndim >= 2 and dtype == 'bfloat16'", "ndim >= 2 and dtype == 'bfloat16'"),
    ("where=zeros where layer > 2", "layer > 2"),
    ("*.where.*[2:]=zeros\twhere\tdtype == ' where '", "dtype == ' where '"),
    ("where.*=zeros", None),
    ("a where b=zeros", None),
    ("*=copy:from=where.weight", None),
]


@pytest.mark.parametrize(("text", "condition"), CONDITIONS)
def test_a_rule_may_end_with_a_condition(text: str, condition: str | None):
    rule = parse_rule(text, "rule 1")
    assert (rule.where and rule.where.text) == condition
    assert rule.text == text
    if rule.where and condition:
        at = text.rindex(condition)
        assert rule.where.source == Excerpt(text, at, at + len(condition))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("*=zeros where", "'': is empty; write, for example, ndim >= 2"),
        ("*=zeros where ndim = 2", "ndim = 2: unexpected =; write == to compare"),
        ("*=zeros where ndim >= 2 where numel", "unexpected where; write, for example, ndim >= 2"),
        ("*= where ndim >= 2", "the initializer is missing; write, for example, normal:std=0.02"),
    ],
)
def test_what_is_no_condition_is_refused(text: str, message: str):
    with pytest.raises(RuleError) as raised:
        parse_rule(text, "rule 1")
    assert str(raised.value).endswith(message)


PLACES = [
    ("*=zeros where ndim >> 2", ">", 20, 21),
    ("fc*.w[:2+]=normal", "", 9, 10),
    ("fc*.w=nor mal", "nor mal", 6, 13),
    ("a{x.y}b=zeros", "{x.y}", 1, 6),
    ("  w = normal : std", "std", 15, 18),
    ("w=normal:std=1,std=2", "std", 15, 18),
    ("abc", "", 3, 4),
    ("re:a(b=zeros", "a(b", 3, 6),
]


@pytest.mark.parametrize(("text", "fault", "start", "stop"), PLACES)
def test_an_error_knows_where_in_the_rule_the_fault_is(text: str, fault: str, start: int, stop: int):
    with pytest.raises(RuleError) as raised:
        parse_rule(text, "rule 1")
    (problem,) = raised.value.problems
    assert problem.excerpt == Excerpt(text, start, stop)
    assert not fault or text[start:stop] == fault


def test_a_hostile_rule_is_shown_escaped_and_cut():
    with pytest.raises(RuleError) as raised:
        parse_rule("\x1b[2J\n::error::" + "a" * 10_000, "rule 1")
    message = str(raised.value)
    assert message.isprintable()
    assert r"\x1b[2J\x0a::error::" in message
    assert len(message) < 2 * SHOWN_LENGTH


def test_a_call_stands_without_a_rule_too():
    assert parse_call("normal:std=0.02") == Call("normal", (("std", "0.02"),))
    with pytest.raises(RuleError, match="nothing after the ':'"):
        parse_call("normal:")


@settings(deadline=None, max_examples=500)
@given(st.text(max_size=40) | st.text("aw1.*?[]{}!-,\\:= \n..", max_size=24) | st.text("[]{}\\-!,=0z", max_size=16))
def test_any_text_is_a_rule_or_a_one_line_error(text: str):
    try:
        rule = parse_rule(text, "rule 1")
    except RuleError as error:
        (problem,) = error.problems
        assert problem.code in ("rule.syntax", "rule.glob", "rule.expression", "rule.rows", "rule.number", "rule.regex")
        assert str(problem).isprintable()
        assert problem.excerpt is None or problem.excerpt.text in text
        assert all(line.isprintable() for line in (problem.excerpt.lines() if problem.excerpt else ()))
    else:
        assert rule.text == text


names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,8}", fullmatch=True)
values = st.text(min_size=1, max_size=8).map(str.strip).filter(lambda text: text and not set(",()[]") & set(text))
calls = st.builds(
    Call, names, st.lists(st.tuples(names, values), max_size=4, unique_by=lambda argument: argument[0]).map(tuple)
)


@settings(deadline=None)
@given(calls)
def test_a_call_that_is_written_out_is_read_back(call: Call):
    assert parse_call(str(call)) == call


@settings(deadline=None)
@given(st.text(min_size=1, max_size=12).filter(lambda name: name == name.strip()), calls)
def test_a_rule_for_one_name_is_read_back_whatever_the_name(name: str, call: Call):
    rule = parse_rule("".join("\\" + char for char in name) + "=" + str(call), "rule 1")
    assert rule.selector.names.matches(name)
    assert rule.call == call
