"""What a package's reader finds in a file counts only if it is in the file, and apart from the rest."""

from __future__ import annotations

import pytest

from initctl.errors import InputError
from initctl.formats.stored import FileContents, StoredTensor, file_format
from initctl.tensors import Block

W = StoredTensor("w", "float32", (2, 3), 8)


@pytest.fixture
def read(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(40))

    def read(*tensors, **metadata):
        form = file_format("toy", "a toy", is_at=bool, read=lambda _: FileContents(tensors, metadata))
        return form.read(str(path), "file")

    return read


def test_tensors_and_texts_make_a_table_that_is_only_read(read):
    transposed = W._replace(strides=(1, 2))
    table = read(transposed, StoredTensor("b", "bfloat16", (), 38), StoredTensor("none", "int8", (0, 5), 40), by="us")
    assert (table.format, table.metadata, table.read_only) == ("toy", {"by": "us"}, "a toy")
    assert [(keys, tensor.dtype.name, tensor.shape) for keys, tensor in table.entries] == [
        (("w",), "float32", (2, 3)),
        (("b",), "bfloat16", ()),
        (("none",), "int8", (0, 5)),
    ]
    assert table.entries[0].tensor.blocks == (Block("file", 8, (0, 0), (2, 3), (1, 2)),)


def test_two_tensors_in_the_same_place_are_tied(read):
    assert len(read(W, W._replace(name="v")).entries) == 2


@pytest.mark.parametrize(
    ("tensors", "fault"),
    [
        ([W._replace(offset=20)], "tensor w: reaches beyond the end of the file"),
        ([W._replace(offset=-4)], "tensor w: its shape, strides and offset must be whole numbers, 0 or more"),
        ([W._replace(offset=True)], "tensor w: its shape, strides and offset must be"),
        ([W._replace(shape=(2.0, 3))], "tensor w: its shape, strides and offset must be"),
        ([W._replace(shape=(2**40, 2**40))], "tensor w: its shape has more elements than a file can hold"),
        ([W._replace(strides=(3,))], "tensor w: its shape, strides and offset must be"),
        ([W._replace(strides=(0, 1))], "tensor w: its elements overlap each other"),
        ([W._replace(strides=(9, 1))], "tensor w: reaches beyond the end of the file"),
        ([W._replace(strides=(2**62, 1))], "tensor w: reaches beyond the end of the file"),
        ([W._replace(dtype="F32")], "tensor w: dtype F32 is not supported"),
        ([W._replace(dtype="float4_e2m1fn")], "tensor w: dtype float4_e2m1fn is not supported"),
        ([W, W._replace(offset=0)], "tensor w: is listed twice"),
        ([W, W._replace(name="v", offset=12)], "tensor v: overlaps another tensor"),
        ([W, W._replace(name="v", offset=4)], "tensor w: overlaps another tensor"),
        ([W, W._replace(name="v", dtype="int32")], "tensor v: overlaps another tensor"),
        ([W, W._replace(name="v", strides=(1, 2))], "tensor v: overlaps another tensor"),
        ([("w", "float32", (2,))], "cannot be read as a toy: AttributeError"),
    ],
)
def test_what_cannot_be_in_the_file_is_refused(read, tensors, fault):
    with pytest.raises(InputError, match=f"file: {fault}"):
        read(*tensors)


@pytest.mark.parametrize("name", ["safetensors-own", "two words", ""])
def test_a_format_is_called_by_a_word(name):
    with pytest.raises(ValueError, match="the name of a format must be an identifier"):
        file_format(name, "a toy", is_at=bool, read=lambda _: FileContents([]))
