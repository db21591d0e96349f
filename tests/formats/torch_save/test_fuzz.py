"""Whatever the bytes of a file of torch.save: a table, or one line that says why not; nothing is left over."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import initctl
from initctl.errors import ConflictError, FitError, InputError
from initctl.formats import read_checkpoint
from tests.broken.torch_faults import PICKLE, REAL
from tests.formats.edits import Edit, edited, edits
from tests.formats.torch_save.rewritten import legacy, pickle_of, saved, with_pickle

if TYPE_CHECKING:
    from pathlib import Path

T = torch.arange(6.0).reshape(2, 3)
VALUE = {
    "state_dict": {"w": T, "t": T.t(), "v": T[1:], "i": torch.arange(3)},
    "epoch": 3,
    "p": torch.nn.Parameter(T + 1),
}
FILES = {"zip": saved(VALUE), "legacy": legacy(VALUE), "protocol 4": saved(VALUE, pickle_protocol=4)}
RULES = ["w=normal", "p=zeros", "[!p]=ones"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def assert_read_or_refused(content: bytes, folder: Path) -> None:
    path = folder / "m.pt"
    path.write_bytes(content)
    refusal: InputError | None = None
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # of escapes in texts of protocol 0
        try:
            checkpoint = read_checkpoint(path)
        except InputError as error:
            refusal = error
    if refusal:
        assert len(refusal.problems) == 1
        assert str(refusal).isprintable()
        assert str(refusal).startswith(str(path))
        return
    for tensor in checkpoint.tensors + checkpoint.outside:
        assert tensor.numel < 2**63
        for block in tensor.blocks if tensor.numel else ():
            assert block.offset >= 0
            assert block.offset + block.extent * tensor.dtype.bits // 8 <= len(content)
    for checksum in checkpoint.files[0].checksums:
        assert 0 <= checksum.start <= checksum.stop <= len(content)
        *others, own = [content[place : place + 4] for place in checksum.places]
        assert own == checksum.value.to_bytes(4, "little")
        assert checksum.unfinished or set(others) == {own}
        assert all(byte in (0, right) for other in others for byte, right in zip(other, own, strict=True))


def assert_written_or_refused(content: bytes, folder: Path) -> None:
    (folder / "m.pt").write_bytes(content)
    (folder / "out.pt").unlink(missing_ok=True)
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        try:
            initctl.apply(folder / "m.pt", folder / "out.pt", rules=RULES, allow_unused=True, threads=1)
        except (InputError, FitError, ConflictError):
            assert [path.name for path in folder.iterdir()] == ["m.pt"]
        else:
            assert sorted(path.name for path in folder.iterdir()) == ["m.pt", "out.pt"]
            assert (folder / "out.pt").stat().st_size == len(content)
    assert (folder / "m.pt").read_bytes() == content


@pytest.mark.parametrize("content", FILES.values(), ids=list(FILES))
def test_the_real_file_is_read(content: bytes, folder: Path):
    assert_read_or_refused(content, folder)
    checkpoint = read_checkpoint(folder / "m.pt")
    assert [tensor.name for tensor in checkpoint.tensors] == ["w", "t", "v", "i"]
    assert [tensor.name for tensor in checkpoint.outside] == ["p"]


@settings(deadline=None, max_examples=400)
@given(st.sampled_from(list(FILES)), edits)
def test_a_real_file_with_some_bytes_changed(folder: Path, name: str, edits: list[Edit]):
    assert_read_or_refused(edited(FILES[name], edits), folder)


@settings(deadline=None, max_examples=400)
@given(st.sampled_from(["zip", "protocol 4"]), edits)
def test_a_real_pickle_with_some_bytes_changed_and_its_checksum_mended(folder: Path, name: str, edits):
    content = FILES[name]
    assert_read_or_refused(with_pickle(content, edited(pickle_of(content), edits)), folder)


@settings(deadline=None, max_examples=250)
@given(edits)
def test_a_real_directory_with_some_bytes_changed(folder: Path, edits: list[Edit]):
    content = FILES["zip"]
    directory = content.index(b"PK\1\2")
    assert_read_or_refused(content[:directory] + edited(content[directory:], edits), folder)


numbers = st.integers(-2, 30) | st.sampled_from([2**31, 2**32, 2**62, 2**63 - 1, 2**63, 2**64, 10**30])


@settings(deadline=None, max_examples=250)
@given(st.lists(numbers, max_size=3), st.lists(numbers, max_size=3), numbers, numbers)
@example([0], [1], 2**62, 6)
@example([2**62, 0], [1, 1], 0, 6)
def test_any_size_stride_offset_and_count(folder: Path, size, stride, offset: int, count: int):
    pickled = PICKLE.replace(b"K\x06t", encoded(count) + b"t").replace(b"QK\x00", b"Q" + encoded(offset))
    pickled = pickled.replace(b"K\x02K\x03\x86", encoded(size)).replace(b"K\x03K\x01\x86", encoded(stride))
    assert_read_or_refused(with_pickle(REAL, pickled), folder)
    assert_written_or_refused(with_pickle(REAL, pickled), folder / "x")


def encoded(value: int | list[int]) -> bytes:
    """The instructions that put down a number, or a tuple of them."""
    if isinstance(value, list):
        return b"(" + b"".join(map(encoded, value)) + b"t"
    return b"L%dL\n" % value


@pytest.fixture(scope="module", autouse=True)
def _inner_folder(folder: Path) -> None:
    (folder / "x").mkdir()


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(list(FILES)), edits)
def test_writing_a_changed_file_succeeds_or_leaves_nothing(folder: Path, name: str, edits):
    assert_written_or_refused(edited(FILES[name], edits), folder / "x")


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(edits)
def test_writing_by_a_changed_pickle_succeeds_or_leaves_nothing(folder: Path, edits):
    content = FILES["zip"]
    assert_written_or_refused(with_pickle(content, edited(pickle_of(content), edits)), folder / "x")
