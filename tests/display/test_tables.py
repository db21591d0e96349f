"""A table is aligned where it fits; where it does not, it says the same in more lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.filesize import decimal

from initctl.display.tables import Listing, Unwrapped, count, shape_text, size_text
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


def test_a_narrower_terminal_gets_each_row_as_a_name_and_below_it_the_numbers_by_their_names():
    assert on_terminal([TABLE], WIDTH - 1).splitlines() == [
        "fc1.weight",
        "  [50,100]  size 20.0kB",
        "b",
        "  [5]  size 20B",
        "重み.bias",
        "  []  size 4B",
    ]


def test_a_narrow_terminal_breaks_lines_between_cells_only():
    heading, row = ("tensor", "std", "min", "distribution"), ("a" * 30, "0.1234", "-0.5", "█  █")
    table = Listing(heading, [row], right=("std", "min"))
    assert on_terminal([table], 16).splitlines()[2:] == ["  std 0.1234", "  min -0.5  █  █"]


def test_a_narrow_terminal_names_the_charts_that_only_their_names_explain():
    table = Listing(("tensor", "std", "norm"), [("a" * 30, "▁▂▃", "▃▂▁")], named=("std", "norm"))
    assert on_terminal([table], 30).splitlines()[1:] == ["  std ▁▂▃  norm ▃▂▁"]


def test_a_sentence_keeps_its_indent_when_it_is_wrapped():
    assert on_terminal(["  one two three"], 10).splitlines() == ["  one two", "  three"]


def test_a_command_is_not_wrapped():
    command = "  initctl apply a.safetensors -o b.safetensors"
    assert on_terminal([Unwrapped(command)], 20) == command


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=4), st.integers(2, 60))
def test_no_width_loses_a_character(rows, width):
    table = Listing(HEADING, rows)
    shown = "".join(on_terminal([table], width).split())
    heading = "".join(HEADING) if max(map(cell_len, table.lines())) <= width else ""
    assert shown == heading + "".join(map("".join, rows))
    assert all(cell_len(line) <= width for line in on_terminal([table], width).splitlines())


def test_one_column_of_a_terminal_is_enough():
    assert "".join(on_terminal([Listing(HEADING, [("fc", "[2]", "8B")])], 1).split()) == "fc[2]8B"


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
