"""A page as a file: in one step, and in the place of no other kind of file."""

from __future__ import annotations

import os

import pytest

from initctl.errors import ConflictError, StorageError, UsageError
from initctl.page import check_replaceable, write_page
from initctl.page.content import Page

PAGE = Page("stats", "m", [], [])


def test_a_page_replaces_a_page_and_an_empty_file(tmp_path):
    path = tmp_path / "p.html"
    path.touch()
    write_page(PAGE, str(path))
    write_page(PAGE._replace(subject="other"), str(path))
    assert "<h1>other</h1>" in path.read_text()
    assert os.listdir(tmp_path) == ["p.html"]


@pytest.mark.parametrize("content", [b"x", b"\x08\0\0\0\0\0\0\0{}", b"<!doctyp"])
def test_no_other_file_is_replaced(tmp_path, content):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(ConflictError, match="exists and is not a page"):
        write_page(PAGE, str(path))
    assert path.read_bytes() == content


NOWHERE = dict.fromkeys(["none/p.html", "file/p.html", "/proc/p.html"], StorageError)
NO_FILES = dict.fromkeys(["folder", "/dev/null", "/dev/stdout"], UsageError)


@pytest.mark.parametrize(("place", "error"), [*NOWHERE.items(), *NO_FILES.items()])
def test_a_place_that_cannot_be_written_is_refused(tmp_path, monkeypatch, place, error):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(error):
        check_replaceable(place)


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "to").mkdir()
    (tmp_path / "p.html").symlink_to("to/p.html")
    write_page(PAGE, str(tmp_path / "p.html"))
    assert (tmp_path / "p.html").is_symlink()
    assert (tmp_path / "to/p.html").exists()
