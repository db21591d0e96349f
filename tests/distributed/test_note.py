"""What the first part notes, and what makes another process stop."""

from __future__ import annotations

from initctl.distributed.note import Note

NOTE = Note(4, "1.0", {"a": [10, 5], "b": [20, 6]})


def test_it_is_read_as_it_was_written():
    assert Note.read(NOTE.packed()) == NOTE


def test_the_same_files_and_version_do_not_differ():
    assert NOTE.difference(NOTE) is None


def test_the_files_that_changed_are_named():
    own = NOTE._replace(sources={"a": [10, 5], "b": [20, 7], "c\n": [1, 1]})
    assert NOTE.difference(own) == "was begun before b, c\\x0a changed"


def test_another_version_is_named():
    assert NOTE.difference(NOTE._replace(version="2.0")) == "was begun by initctl 1.0, and this is 2.0"
