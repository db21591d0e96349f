"""Of many patterns, those that may match a name are found without trying all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

import initctl
from initctl.rules import Candidates, Glob, parse_selector
from tests.formats.handwritten import safetensors_bytes, tensor

if TYPE_CHECKING:
    from pathlib import Path


def is_glob(pattern: str) -> bool:
    try:
        Glob(pattern)
    except initctl.RuleError:
        return False
    return True


PARTS = ["layers", "w", "bias", "1", "17", "*", "?", "{l}", "{0..9}", "[0-9]", "{w,bias}", "{,x}", "."]
PATTERNS = st.lists(st.sampled_from(PARTS), min_size=1, max_size=5).map("".join).filter(is_glob)
NAMES = st.lists(st.sampled_from(["layers", "w", "bias", "1", "17", ".", "x", ""]), max_size=6).map("".join)
MANY = [f"filler.{number}" for number in range(100)]


@given(st.lists(PATTERNS, min_size=1, max_size=30), st.lists(NAMES, min_size=1, max_size=10))
def test_every_pattern_that_matches_is_found_in_order(patterns: list[str], names: list[str]):
    globs = [Glob(pattern) for pattern in [*patterns, *MANY]]
    candidates = Candidates(globs)
    for name in names:
        found = list(candidates.of(name))
        assert found == sorted(found)
        assert {number for number, glob in enumerate(globs) if glob.matches(name)} <= {*found}


def test_few_candidates_remain_of_many_patterns():
    patterns = [f"layers.{n}.*" for n in range(1000)] + [f"*.{n}.bias" for n in range(1000)]
    patterns += [f"*.{n}.w*" for n in range(1000)] + [f"layers.{n}.weight" for n in range(1000)]
    candidates = Candidates([Glob(pattern) for pattern in patterns])
    assert [patterns[at] for at in candidates.of("layers.7.weight")] == ["layers.7.*", "*.7.w*", "layers.7.weight"]


def test_a_regular_expression_is_always_tried():
    selectors = [*MANY, "re:l.*", "*"]
    candidates = Candidates([parse_selector(text).names for text in selectors])
    assert [selectors[at] for at in candidates.of("layers.0.weight")] == ["re:l.*", "*"]


def test_a_very_long_name_is_tried_with_all_patterns_instead_of_looked_into():
    candidates = Candidates([Glob(f"*{number}*") for number in range(100)])
    assert list(candidates.of("1" * 100_000)) == list(range(100))


def test_with_many_rules_each_tensor_is_decided_by_the_last_that_matches(tmp_path: Path):
    header = {f"layers.{n}.w": tensor("F32", [1], [4 * n, 4 * n + 4]) for n in range(300)}
    path = tmp_path / "net.safetensors"
    path.write_bytes(safetensors_bytes(header, bytes(4 * len(header))))
    rules = [f"*.{n}.w=constant:val={n}" for n in range(300)] + [f"layers.{n}.*=zeros" for n in range(0, 300, 7)]
    plan = initctl.plan(path, rules=rules, allow_unused=True)
    assert len(plan.actions) == 300
    for action in plan.actions:
        number = int(action.tensor.name.split(".")[1])
        expected = f"layers.{number}.*" if number % 7 == 0 else f"*.{number}.w"
        assert action.rule.selector.names.pattern == expected
