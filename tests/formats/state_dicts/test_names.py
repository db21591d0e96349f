"""Names relative to the root: a wrapper's prefix goes where every name carries it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from initctl.formats.state_dicts.names import wrapper_prefix

PREFIXES = [
    ([], ""),
    (["w"], ""),
    (["module.w"], "module."),
    (["_orig_mod.w"], "_orig_mod."),
    (["module.a", "module.b.c"], "module."),
    (["module._orig_mod.a", "module._orig_mod.b"], "module._orig_mod."),
    (["_orig_mod.module.a"], "_orig_mod.module."),
    (["module.module.a", "module.module.b"], "module.module."),
    (["module.module.a", "module.b"], "module."),
    (["module.module.a", "module._orig_mod.b"], "module."),
    (["module.a", "b"], ""),
    (["module.a", "module"], ""),
    (["modules.a"], ""),
    (["layer.module.a"], ""),
    (["Module.a"], ""),
    (["module."], ""),
    (["module.", "module.a"], ""),
    (["module.module.", "module.a"], "module."),
    ([""], ""),
]


@pytest.mark.parametrize(("names", "prefix"), PREFIXES)
def test_the_prefix_is_the_wrappers_that_every_name_carries(names: list[str], prefix: str):
    assert wrapper_prefix(names) == prefix


wrapped = st.lists(st.sampled_from(["module.", "_orig_mod.", "fc.", "w"]), max_size=5).map("".join)


@given(st.lists(wrapped, unique=True))
def test_what_is_left_of_the_names_is_not_empty_and_still_tells_them_apart(names: list[str]):
    prefix = wrapper_prefix(names)
    assert all(name.startswith(prefix) for name in names)
    left = [name[len(prefix) :] for name in names]
    assert not prefix or all(left)
    assert len(set(left)) == len(names)
    assert wrapper_prefix(left) == ""


def test_a_name_of_a_million_wrappers_takes_no_longer_than_reading_it():
    assert wrapper_prefix(["module." * 1_000_000 + "w"]) == "module." * 1_000_000
