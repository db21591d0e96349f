"""Content → HTML: complete without a script, closed to everything else, and hostile texts are texts in it."""

from __future__ import annotations

import pytest

from initctl.page.content import Chart, Charts, Column, Drawing, Fact, Item, ItemList, Page, ShellLines, TensorTable
from initctl.page.rendering import html
from tests.hostile import TEXTS, is_safe
from tests.page.documents import Document, digest

MARKUP = {
    "script": "<script>alert(1)</script>",
    "end of script": "</script><script>alert(1)</script>",
    "end of style": "</style><svg onload=alert(1)>",
    "attribute": "\"'><img src=x onerror=alert(1)>",
    "handler": '" onmouseover="alert(1)',
    "template": "{{ 7 * 7 }}{% raw %}",
    "entity": "&lt;b&gt;&amp;",
    "comment": "<!-- --!> ]]>",
    "address": "javascript:alert(1)",
}


def page_of(text: str) -> Page:
    """A page with `text` wherever a text can be."""
    table = TensorTable(text, [Column(text, "name"), Column(text), Column(text, "number")], [[text, text, text]], text)
    charts = Charts(text, [Chart(text, text, "M0 0")] * 13, text)
    items = ItemList(text, [Item(text, text, text, [Fact(text, text)], "error"), Item(text, text)], text)
    return Page(text, text, [Fact(text, text)], [table, charts, items, ShellLines(text, [f"x {text}"], text)], text)


@pytest.mark.parametrize("text", MARKUP.values(), ids=MARKUP)
def test_no_text_is_markup(text):
    plain, hostile = Document(html(page_of("x"))), Document(html(page_of(text)))
    assert [tag for tag, _ in hostile.elements if tag != "wbr"] == [tag for tag, _ in plain.elements]
    assert [sorted(found) for _, found in hostile.elements] == [sorted(found) for _, found in plain.elements]
    assert hostile.text.count(text) == plain.text.count("x") - html(page_of("")).count("x") or text in hostile.text


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_no_text_hides_itself_or_breaks_a_line(text):
    assert is_safe(html(page_of(text)))


def test_lines_for_a_shell_stay_lines():
    document = html(Page("doctor", "m", [], [ShellLines("To fix it", ["initctl apply <m> \\", "  -r 'a=b'"])]))
    assert '<pre tabindex="0">\ninitctl apply &lt;m&gt; \\\n  -r &#39;a=b&#39;\n</pre>' in document


def test_only_its_own_script_and_style_may_run():
    document = Document(html(page_of("x")))
    assert document.policy == (
        f"default-src 'none'; style-src '{digest(document.inside['style'])}'; "
        f"script-src '{digest(document.inside['script'])}'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    assert len(document.named("script")) == len(document.named("style")) == 1
    assert not [name for _, found in document.elements for name in found if name == "style" or name.startswith("on")]


def test_nothing_is_fetched():
    assert Document(html(page_of("x"))).fetched == []


def test_a_table_is_complete_without_the_script():
    table = TensorTable("All", [Column("tensor", "name"), Column("std", "number")], [["a.b", "1"], ["c", "2"]])
    document = Document(html(Page("stats", "m", [], [table])))
    assert document.rows == [["tensor", "std"], ["a.b", "1"], ["c", "2"]]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("model.layers.0.self_attn.q_proj.weight", "model.layers.0.<wbr>self_attn.<wbr>q_proj.weight"),
        ("a.b.c", "a.b.c"),
        ("long_enough.<b>", "long_enough.<wbr>&lt;b&gt;"),
        ("", ""),
    ],
)
def test_a_name_may_go_on_in_a_new_line_after_some_dots(name, shown):
    table = TensorTable("All", [Column("tensor", "name")], [[name]])
    assert f"<tr><th scope=row>{shown}\n" in html(Page("stats", "m", [], [table]))


def test_a_drawing_shows_what_was_before_behind_what_is():
    table = TensorTable("All", [Column("tensor", "name"), Column("", "drawing")], [["a", Drawing("M1 1", "M2 2")]])
    assert Document(html(Page("plan", "m", [], [table]))).paths == ["M2 2", "M1 1"]


def test_numbers_are_aligned_by_the_style():
    table = TensorTable("All", [Column("tensor", "name"), Column("std", "number")], [])
    assert "#section-1-table tr > :nth-child(2) { text-align: right; }" in html(Page("stats", "m", [], [table]))


def test_many_charts_open_after_the_first():
    document = Document(html(Page("stats", "m", [], [Charts("c", [Chart("t", "s", "M0 0")] * 15)])))
    assert len(document.named("figure")) == 15
    assert "3 more" in document.text


def test_each_chart_says_in_words_what_it_shows():
    document = Document(html(Page("stats", "m", [], [Charts("c", [Chart("w", "1 to 2", "M0 0")])])))
    (image,) = document.named("svg")
    assert (image["role"], image["aria-label"]) == ("img", "w: 1 to 2")
