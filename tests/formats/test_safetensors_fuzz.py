"""Whatever the bytes of a file: a table that the library agrees with, or one line that says what is wrong."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from initctl.errors import InputError
from initctl.formats import read_checkpoint
from tests.formats.edits import Edit, edited, edits
from tests.formats.handwritten import safetensors_bytes, tensor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STRICTER = ("appears twice",)
"""Words of the refusals of what the library accepts: the whole list of verdicts that differ."""

REAL = save(
    {"w": torch.ones(2, 3), "b": torch.zeros(3, dtype=torch.bfloat16), "n": torch.tensor(7), "e": torch.empty(0, 4)},
    metadata={"format": "pt"},
)
HEADER = json.loads(REAL[8 : 8 + int.from_bytes(REAL[:8], "little")])
DATA = REAL[8 + int.from_bytes(REAL[:8], "little") :]


@pytest.fixture(scope="module")
def check(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bytes], None]:
    path = tmp_path_factory.mktemp("fuzz") / "m.safetensors"

    def check(content: bytes) -> None:
        path.write_bytes(content)
        assert_read_or_refused(path)

    return check


def assert_read_or_refused(path: Path) -> None:
    library = librarys_table(path)
    try:
        checkpoint = read_checkpoint(path)
    except InputError as error:
        (problem,) = error.problems
        message = str(problem)
        assert message.isprintable()
        assert message.startswith(str(path))
        assert library is None or any(words in message for words in STRICTER), message
    else:
        tensors = checkpoint.tensors
        assert {spec.name: (spec.dtype.tag, list(spec.shape)) for spec in tensors} == library
        end = min((spec.blocks[0].offset for spec in tensors), default=os.path.getsize(path))
        for spec in sorted(tensors, key=lambda spec: (spec.blocks[0].offset, spec.nbytes)):
            assert spec.blocks[0].offset == end
            end += spec.nbytes
        assert end == os.path.getsize(path)


def librarys_table(path: Path) -> dict[str, tuple[str, list[int]]] | None:
    """Dtypes and shapes as the library reads them, or None where it refuses the file."""
    try:
        with safe_open(path, framework="numpy") as library:
            slices = {name: library.get_slice(name) for name in library.keys()}  # noqa: SIM118 - no mapping
            return {name: (values.get_dtype(), values.get_shape()) for name, values in slices.items()}
    except SafetensorError:
        return None


numbers = st.integers(-2, 20) | st.sampled_from([2**31, 2**32, 2**53 + 1, 2**62, 2**63, 2**64 - 1, 2**64])
dtypes = st.sampled_from(["F32", "BF16", "I64", "U8", "F4", "F6_E2M3", "C64", "BOOL", "F8_E8M0", "F33", "f32", ""])
entries = st.builds(
    lambda dtype, shape, start, length: tensor(dtype, shape, [start, start + length]),
    dtypes,
    st.lists(numbers, max_size=4),
    numbers,
    numbers,
)
other_json = st.none() | st.booleans() | numbers | st.floats() | st.text(max_size=3) | st.lists(numbers, max_size=3)
names = st.sampled_from(["w", "b", "n", "e", "", "__metadata__", "x\n"]) | st.text(max_size=3)


@st.composite
def changed_headers(draw: st.DrawFn) -> dict[str, Any]:
    """The real header with one to three of its parts replaced, added or removed."""
    header = json.loads(json.dumps(HEADER))
    for _ in range(draw(st.integers(1, 3))):
        name = draw(names)
        entry = header.get(name)
        match draw(st.sampled_from(["field", "entry", "remove", "rename"])):
            case "field" if isinstance(entry, dict) and entry:
                field = draw(st.sampled_from([*entry, "extra"]))
                entry[field] = draw(st.lists(numbers, max_size=4) | dtypes | other_json)
            case "remove":
                header.pop(name, None)
            case "rename" if name in header:
                header[draw(names)] = header.pop(name)
            case _:
                header[name] = draw(entries | other_json)
    return header


@st.composite
def tilings(draw: st.DrawFn) -> bytes:
    """A file of small tensors, of which most lie where they should."""
    sizes = draw(st.lists(st.integers(0, 4), max_size=5))
    offsets = [sum(sizes[:number]) + draw(st.sampled_from([0, 0, 0, 0, 1, -1])) for number in range(len(sizes))]
    header = {
        f"t{number}": tensor("U8", [size], [max(offset, 0), max(offset, 0) + size])
        for number, (size, offset) in enumerate(zip(sizes, offsets, strict=True))
    }
    order = draw(st.permutations(list(header)))
    data = bytes(max(sum(sizes) + draw(st.sampled_from([0, 0, 0, 1, -1])), 0))
    return safetensors_bytes({name: header[name] for name in order}, data)


def test_the_real_file_is_read(check: Callable[[bytes], None]):
    check(REAL)


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=128))
def test_arbitrary_bytes(check: Callable[[bytes], None], content: bytes):
    check(content)


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=64) | st.text('{}[]":, \\0123"w', max_size=48).map(str.encode), st.binary(max_size=8))
def test_an_arbitrary_header_of_the_right_length(check: Callable[[bytes], None], header: bytes, data: bytes):
    check(safetensors_bytes(header, data))


@settings(deadline=None, max_examples=300)
@given(edits)
def test_a_real_file_with_some_bytes_changed(check: Callable[[bytes], None], edits: list[Edit]):
    check(edited(REAL, edits))


@settings(deadline=None, max_examples=300)
@given(edits)
def test_a_real_header_with_some_bytes_changed_and_its_length_mended(check: Callable[[bytes], None], edits: list[Edit]):
    header = REAL[8 : len(REAL) - len(DATA)]
    check(safetensors_bytes(edited(header, edits), DATA))


@settings(deadline=None, max_examples=300)
@given(changed_headers())
def test_a_real_header_with_some_fields_changed(check: Callable[[bytes], None], header: dict[str, Any]):
    check(safetensors_bytes(header, DATA))


@settings(deadline=None, max_examples=400)
@given(tilings())
def test_tensors_that_may_overlap_or_leave_holes(check: Callable[[bytes], None], content: bytes):
    check(content)


@settings(deadline=None, max_examples=100)
@given(st.sampled_from(["cut", "pad"]), st.integers(1, 16))
def test_a_real_file_of_another_length(check: Callable[[bytes], None], kind: str, count: int):
    check(REAL[:-count] if kind == "cut" else REAL + bytes(count))
