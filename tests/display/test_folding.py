"""Names that differ in layer numbers are listed as one pattern, which stands for exactly these names."""

from __future__ import annotations

import re
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from initctl.display.folding import FOLDED_ABOVE, by_depth, fold, folded_rows, listing
from initctl.errors import shown

WORDS = st.sampled_from(["model", "layers", "experts", "w", "01", "x7", "-1", "٣"])
PARTS = st.one_of(WORDS, st.integers(0, 12).map(str))
NAMES = st.lists(PARTS, min_size=1, max_size=5).map(".".join)
ROWS = st.dictionaries(NAMES, st.integers(0, 2), min_size=1, max_size=60).map(lambda rows: list(rows.items()))


def expanded(pattern):
    """Every name that a pattern stands for, by a reading of its own."""
    parts = [_numbers(text) if brace else [text] for brace, text in _pieces(pattern)]
    return ["".join(choice) for choice in product(*parts)]


def _pieces(pattern):
    return [(found[0].startswith("{"), found[0].strip("{}")) for found in re.finditer(r"\{[^}]*\}|[^{}]+", pattern)]


def _numbers(text):
    numbers = []
    for item in text.split(","):
        first, _, last = item.partition("..")
        numbers += range(int(first), int(last or first) + 1)
    return map(str, numbers)


def patterns(*names):
    return [names.pattern() for names, _ in fold([(name, None) for name in names])]


@given(ROWS)
def test_patterns_stand_for_exactly_the_names_given_each_once(rows):
    unfolded = [(name, rest) for names, rest in fold(rows) for name in expanded(names.pattern())]
    assert sorted(unfolded) == sorted(rows)


@given(ROWS)
def test_patterns_stand_in_the_order_of_their_first_names(rows):
    position = {name: number for number, (name, _) in enumerate(rows)}
    firsts = [min(position[name] for name in expanded(names.pattern())) for names, _ in fold(rows)]
    assert firsts == sorted(firsts)


@given(ROWS)
def test_a_pattern_says_how_many_names_it_stands_for(rows):
    assert all(names.size == len(expanded(names.pattern())) for names, _ in fold(rows))


@given(st.sets(st.integers(0, 40), min_size=1), st.sets(st.integers(0, 40), min_size=1), st.randoms())
def test_all_experts_of_all_layers_are_one_pattern_in_whatever_order(layers, experts, random):
    names = [f"model.layers.{layer}.experts.{expert}.up.weight" for layer in layers for expert in experts]
    random.shuffle(names)
    assert len(patterns(*names)) == 1


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([f"layers.{n}.w" for n in range(32)], ["layers.{0..31}.w"]),
        ([f"layers.{n}.w" for n in (0, 1, 2, 4, 7, 8, 9)], ["layers.{0..2,4,7..9}.w"]),
        ([f"l.{n}.e.{m}.w" for n in range(3) for m in range(8)], ["l.{0..2}.e.{0..7}.w"]),
        (["layers.0.w", "layers.1.w"], ["layers.{0,1}.w"]),
        (["layers.7.w"], ["layers.7.w"]),
        (["0", "1", "2"], ["{0..2}"]),
        (["a.1", "b.1", "a.2"], ["a.{1,2}", "b.1"]),
        (["a.01.w", "a.02.w"], ["a.01.w", "a.02.w"]),
        (["block1.w", "block2.w"], ["block1.w", "block2.w"]),
        (["l.0.e.0", "l.0.e.1", "l.1.e.0"], ["l.0.e.{0,1}", "l.1.e.0"]),
    ],
)
def test_a_pattern_reads_like_the_names(names, expected):
    assert patterns(*names) == expected


def test_names_whose_rows_differ_otherwise_are_not_folded():
    shapes = [("l.0.w", "[2]"), ("l.1.w", "[2]"), ("l.2.w", "[3]"), ("l.3.w", "[2]")]
    assert [(names.pattern(), rest) for names, rest in fold(shapes)] == [("l.{0,1,3}.w", "[2]"), ("l.2.w", "[3]")]


@given(ROWS, st.booleans(), st.sampled_from([0, FOLDED_ABOVE]))
def test_folded_rows_have_each_member_once_under_the_name_that_stands_for_it(rows, unfold, above):
    folded = folded_rows(rows, lambda row: row[0], lambda row: row[1], unfold=unfold, above=above)
    assert sorted(row for _, members in folded for row in members) == sorted(rows)
    if unfold or len(rows) <= above:
        assert folded == [(shown(name), [(name, rest)]) for name, rest in rows]
    else:
        assert [name for name, _ in folded] == [names.shown() for names, _ in fold(rows)]
        assert [[name for name, _ in members] for _, members in folded] == [list(n.names()) for n, _ in fold(rows)]
        assert all(len({rest for _, rest in members}) == 1 for _, members in folded)


class TestAListing:
    def rows(self, count):
        return [(f"layers.{n}.w", "rest") for n in range(count)]

    def test_of_few_rows_names_each(self):
        assert listing(self.rows(FOLDED_ABOVE), unfold=False) == self.rows(FOLDED_ABOVE)

    def test_of_many_rows_is_folded(self):
        assert listing(self.rows(FOLDED_ABOVE + 1), unfold=False) == [("layers.{0..30}.w ×31", "rest")]

    def test_of_many_rows_names_each_when_asked_to(self):
        assert listing(self.rows(FOLDED_ABOVE + 1), unfold=True) == self.rows(FOLDED_ABOVE + 1)

    @pytest.mark.parametrize("unfold", [True, False])
    def test_shows_names_escaped(self, unfold):
        rows = [(f"\x1b[31m\n::x.{n}", None) for n in range(FOLDED_ABOVE + 1)]
        names = [name for name, _ in listing(rows, unfold=unfold)]
        assert names[0].startswith(r"\x1b[31m\x0a::x.")


def test_a_number_longer_than_python_reads_is_a_word():
    name = "x." + "1" * 5000
    assert patterns(name, "y.1") == [name, "y.1"]


class TestByDepth:
    def test_layers_are_in_the_order_of_their_numbers(self):
        rows = [("h.10.w", "c"), ("h.2.w", "b"), ("norm", "x"), ("h.0.w", "a"), ("h.0.b", "y")]
        assert [(names.pattern(), layers) for names, layers in by_depth(rows)] == [("h.{0,2,10}.w", ["a", "b", "c"])]

    def test_two_numbers_count_from_the_left(self):
        rows = [(f"l.{n}.e.{m}", (n, m)) for m in range(2) for n in range(2)]
        ((names, layers),) = by_depth(rows)
        assert (names.pattern(), layers) == ("l.{0,1}.e.{0,1}", [(0, 0), (0, 1), (1, 0), (1, 1)])

    def test_one_layer_has_no_depth(self):
        assert by_depth([("h.0.w", 1), ("h.0.b", 2), ("w", 3)]) == []
