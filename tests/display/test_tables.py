"""A table is aligned where it fits; where it does not, it says the same in more lines."""

from __future__ import annotations

from collections import Counter
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.filesize import decimal

from initctl.display.console import drawn
from initctl.display.tables import Listing, Toned, Unwrapped, count, shape_text, size_text
from tests.display.text import on_terminal, piped

HEADING = ("tensor", "shape", "size")
ROWS = [("fc1.weight", "[50,100]", "20.0kB"), ("b", "[5]", "20B"), ("重み.bias", "[]", "4B")]
TABLE = Listing(HEADING, ROWS, right=("size",))
WIDTH = max(map(cell_len, TABLE.lines()))
CELLS = st.text(st.sampled_from("abcdefgh.;[]重é"), min_size=1, max_size=30)


def columns(line, width):
    """Where on a line the words begin and end, in columns of the terminal."""
    ends, starts, at = [], [], 0
    for before, char in zip(" " + line, line + " ", strict=True):
        starts += [at] if before == " " != char else []
        ends += [at] if char == " " != before else []
        at += cell_len(char)
    return starts, ends


def test_columns_begin_and_right_aligned_ones_end_at_one_place():
    lines = piped([TABLE]).splitlines()
    starts, ends = zip(*(columns(line, WIDTH) for line in lines), strict=True)
    assert len({tuple(start[:2]) for start in starts}) == 1
    assert {end[2] for end in ends} == {WIDTH}
    assert [line.split() for line in lines] == [list(HEADING), *map(list, ROWS)]


def test_a_pipe_gets_every_character_of_long_names():
    names = [letter * 300 for letter in "abc"]
    lines = piped([Listing(HEADING, [(name, "[1]", "4 B") for name in names])]).splitlines()
    assert [line.split()[0] for line in lines] == ["tensor", *names]


def test_a_terminal_just_wide_enough_gets_the_table():
    assert on_terminal([TABLE], WIDTH) == piped([TABLE])


def test_a_narrower_terminal_gets_names_above_their_rows_and_keeps_the_heading():
    assert on_terminal([TABLE], WIDTH - 1).splitlines() == [
        "tensor",
        "  shape       size",
        "fc1.weight",
        "  [50,100]  20.0kB",
        "b",
        "  [5]          20B",
        "重み.bias",
        "  []            4B",
    ]


def test_a_terminal_that_is_too_narrow_for_that_gets_each_row_as_a_name_and_below_it_the_cells_by_their_names():
    assert on_terminal([TABLE], 17).splitlines() == [
        "tensor",
        "fc1.weight",
        "  shape [50,100]",
        "  size 20.0kB",
        "b",
        "  shape [5]",
        "  size 20B",
        "重み.bias",
        "  shape []",
        "  size 4B",
    ]


def test_a_cell_that_begins_with_the_name_of_its_column_does_not_get_it_twice():
    table = Listing(("tensor", "rule"), [("fc1", "rule 2: *.bias_of_a_layer")], wrapped=())
    assert on_terminal([table], 20).splitlines()[2:] == ["  rule 2:", "  *.bias_of_a_layer"]


def test_a_narrow_terminal_breaks_lines_between_cells_only():
    heading, row = ("tensor", "std", "min", "distribution"), ("a" * 30, "0.1234", "-0.5", "█  █")
    table = Listing(heading, [row], right=("std", "min"))
    assert on_terminal([table], 21).splitlines()[3:] == ["  std 0.1234", "  min -0.5", "  distribution █  █"]


INITIALIZER = "kaiming_normal nonlinearity=relu std=0.2"
RULE = "rule 1: *.weight_of_any_layer"
PLAN = Listing(
    ("tensor", "dtype", "rule", "initializer"),
    [("fc.weight", "float32", RULE, INITIALIZER), ("fc.bias", "float32", "-", "keep")],
    brief={RULE: "rule 1"},
    spare=(("dtype",),),
)


class TestATableThatDoesNotFit:
    def test_first_gets_the_short_forms_of_its_cells(self):
        assert on_terminal([PLAN], 80).splitlines() == [
            "tensor     dtype    rule    initializer",
            f"fc.weight  float32  rule 1  {INITIALIZER}",
            "fc.bias    float32  -       keep",
            "to fit 80 columns: rule shortened; `| less -S` shows all",
        ]

    def test_then_has_its_last_column_wrapped(self):
        assert on_terminal([PLAN], 60).splitlines()[:4] == [
            "tensor     dtype    rule    initializer",
            "fc.weight  float32  rule 1  kaiming_normal nonlinearity=relu",
            "                            std=0.2",
            "fc.bias    float32  -       keep",
        ]

    def test_then_has_names_above_its_rows(self):
        assert on_terminal([PLAN], 40).splitlines()[:5] == [
            "tensor",
            "  dtype    rule    initializer",
            "fc.weight",
            "  float32  rule 1  kaiming_normal",
            "                   nonlinearity=relu",
        ]

    def test_then_loses_its_spare_columns_and_says_so(self):
        assert on_terminal([PLAN], 30).splitlines() == [
            "tensor",
            "  rule    initializer",
            "fc.weight",
            "  rule 1  kaiming_normal",
            "          nonlinearity=relu",
            "          std=0.2",
            "fc.bias",
            "  -       keep",
            "to fit 30 columns: rule",
            "shortened; dtype left out; `|",
            "less -S` shows all",
        ]

    def test_at_last_says_everything_by_name(self):
        said = f"tensor fc.weight dtype float32 {RULE} initializer {INITIALIZER}"
        kept = "fc.bias dtype float32 rule - initializer keep"
        assert "".join(on_terminal([PLAN], 20).split()) == f"{said}{kept}".replace(" ", "")

    def test_is_whole_in_a_pipe(self):
        assert RULE in piped([PLAN])
        assert "to fit" not in piped([PLAN])

    def test_wraps_the_widest_of_several_columns_first(self):
        table = Listing(("preset", "gives", "types"), [("a", "word " * 12, "type, " * 4)], wrapped=("gives", "types"))
        assert on_terminal([table], 60).splitlines()[1].endswith("type, type, type, type,")


def test_a_column_that_is_wrapped_into_more_than_a_few_lines_goes_below():
    table = Listing(("name", "gives"), [("n" * 30, "some words of a text " * 10)])
    assert on_terminal([table], 60).splitlines()[:2] == ["name", "  gives"]


def test_rows_and_sentences_have_the_style_that_they_are_given():
    console = Console(file=StringIO(), width=40, color_system="standard", force_terminal=True)
    styled = drawn([Listing(("tensor",), [("a",), ("b",)], styles=("dim", "")), Toned("2 differ", "red")], console)
    assert styled.split("\n") == ["\x1b[1mtensor\x1b[0m", "\x1b[2ma\x1b[0m", "b", "\x1b[31m2 differ\x1b[0m"]


def test_a_sentence_keeps_its_indent_when_it_is_wrapped():
    assert on_terminal(["  one two three"], 10).splitlines() == ["  one two", "  three"]


def test_a_command_is_not_wrapped():
    command = "  initctl apply a.safetensors -o b.safetensors"
    assert on_terminal([Unwrapped(command)], 20) == command


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=4), st.integers(2, 60))
def test_no_width_loses_a_character_or_a_heading(rows, width):
    shown = on_terminal([Listing(HEADING, rows)], width)
    assert not Counter("".join(map("".join, rows))) - Counter(shown)
    assert not Counter("".join(HEADING)) - Counter(shown)
    assert all(cell_len(line) <= width for line in shown.splitlines())


def test_one_column_of_a_terminal_is_enough():
    assert "".join(on_terminal([Listing(HEADING, [("fc", "[2]", "8B")])], 1).split()) == "tensorfcshape[2]size8B"


@pytest.mark.parametrize("name", ["[red]x[/red]", "x[/nope]", "[link=http://x]x", ":smile:", "1.5 'text' true"])
@pytest.mark.parametrize("width", [20, 80])
def test_names_mean_nothing_to_the_console(name, width):
    assert name in on_terminal([Listing(HEADING, [(name, "[]", "4B")])], width)


def test_no_line_ends_in_blanks():
    assert not [line for line in piped([TABLE]).splitlines() if line != line.rstrip()]


def test_a_table_without_rows_is_its_heading():
    assert piped([Listing(HEADING, [])]) == "tensor  shape  size"


@pytest.mark.parametrize(("shape", "text"), [((), "[]"), ((2,), "[2]"), ((50, 100), "[50, 100]")])
def test_a_shape_is_written_as_torch_prints_it(shape, text):
    assert shape_text(shape) == text


@pytest.mark.parametrize(("number", "text"), [(0, "0 files"), (1, "1 file"), (2, "2 files"), (2000, "2,000 files")])
def test_a_count_goes_with_its_noun(number, text):
    assert count(number, "file") == text


@given(st.integers(2, 10**21 - 1))
def test_a_size_is_written_as_rich_writes_it(nbytes):
    assert size_text(nbytes) == decimal(nbytes)
