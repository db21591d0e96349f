"""The receipt of a part: what its file holds is read again, and anything else is none."""

from __future__ import annotations

import json

import pytest

from initctl.distributed.receipt import Receipt, WrittenRange, name_of

RECEIPT = Receipt(
    "0" * 20, 2, 7, (WrittenRange("a/b", 0, 5, 1), WrittenRange("a/b", 5, 9, 2)), "host", 1.5, {"cpu": "c"}
)


def test_it_is_read_as_it_was_written():
    assert Receipt.read(RECEIPT.to_document()) == RECEIPT


def test_its_file_is_named_after_the_part():
    assert RECEIPT.name == name_of(2, 7) == "part-2-of-7.json"


def test_whether_a_part_was_done_before_is_not_in_its_file():
    assert b"was_done" not in RECEIPT.to_document()
    assert RECEIPT.to_json()["was_done"] is False


@pytest.mark.parametrize("at", range(0, len(RECEIPT.to_document()) - 1, 7))
def test_a_file_with_one_other_byte_is_none(at: int):
    content = bytearray(RECEIPT.to_document())
    content[at] ^= 1
    found = Receipt.read(bytes(content))
    assert found is None or found == RECEIPT  # space that became another space


@pytest.mark.parametrize("length", range(0, len(RECEIPT.to_document()) - 2, 11))
def test_a_file_that_was_cut_off_is_none(length: int):
    assert Receipt.read(RECEIPT.to_document()[:length]) is None


def test_another_version_is_none():
    document = json.loads(RECEIPT.to_document())
    assert Receipt.read(json.dumps({**document, "schema": "initctl-part/2"}).encode()) is None


def test_the_name_of_a_host_is_escaped():
    (line,) = Receipt("0" * 20, 1, 1, (), "ho\x1bst", 0.0).report()
    assert "\x1b" not in str(line)
