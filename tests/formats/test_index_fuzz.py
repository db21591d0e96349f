"""Whatever an index says: a table of tensors in files of its directory, or one line that says what is wrong."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from initctl.errors import InputError
from initctl.formats import read_checkpoint
from tests.formats.handwritten import float_file, sharded

if TYPE_CHECKING:
    from pathlib import Path

LIES = {"w": "a.safetensors", "v": "x/b.safetensors"}
"""Where the tensors are. An index that leaves out a shard is that of a smaller checkpoint."""


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("fuzz")
    float_file(root / "secret.safetensors", "w", "v")
    return sharded(root / "model", {"a.safetensors": ("w",), "x/b.safetensors": ("v",)})


def assert_read_or_refused(index: Path) -> None:
    try:
        checkpoint = read_checkpoint(index)
    except InputError as error:
        (problem,) = error.problems
        message = str(problem)
        assert message.isprintable()
        assert message.startswith(str(index.parent))
    else:
        read = {tensor.name: tensor.files[0] for tensor in checkpoint.tensors}
        assert read.items() <= LIES.items()
        assert set(read) == set(json.loads(index.read_bytes())["weight_map"])
        assert {file.name for file in checkpoint.files} == set(read.values())


parts = st.sampled_from(
    ["a.safetensors", "b.safetensors", "x", "secret.safetensors", "..", ".", "", "C:", "\0", "\\", "é"]
)
shards = st.lists(parts, max_size=4).map("/".join) | st.text(max_size=4)
other_json = st.none() | st.booleans() | st.integers() | st.floats() | st.lists(st.text(max_size=2), max_size=2)
weight_maps = st.dictionaries(st.sampled_from(["w", "v", "", "\x1b[0m"]) | st.text(max_size=2), shards | other_json)


@settings(deadline=None, max_examples=300)
@given(weight_maps | other_json)
@example({"w": "a.safetensors"})
def test_any_weight_map(index: Path, weight_map: Any):
    index.write_text(json.dumps({"weight_map": weight_map}), encoding="utf-8")
    assert_read_or_refused(index)


@settings(deadline=None, max_examples=100)
@given(shards, shards)
def test_any_two_shards(index: Path, first: str, second: str):
    index.write_text(json.dumps({"weight_map": {"w": first, "v": second}}), encoding="utf-8")
    assert_read_or_refused(index)


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=32) | st.text('{}[]":, \\0123w', max_size=32).map(str.encode))
def test_any_text_after_a_brace(index: Path, text: bytes):
    index.write_bytes(b"{" + text)
    assert_read_or_refused(index)


def test_the_right_index_is_read(index: Path):
    index.write_text(json.dumps({"weight_map": {"w": "a.safetensors", "v": "x/b.safetensors"}}), encoding="utf-8")
    assert len(read_checkpoint(os.fspath(index)).tensors) == 2
