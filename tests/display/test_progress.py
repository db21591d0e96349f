"""On a real terminal, progress is bytes and rate while it lasts, and nothing afterwards."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import termios
from contextlib import suppress

import pytest

from initctl.display.console import progress_bar
from initctl.events import Progress

ESCAPE = re.compile(r"\x1b\[[\d;?]*[A-Za-z]")


@pytest.fixture
def drawn(monkeypatch):
    """What drawing some progress writes to a terminal of 100 columns."""
    monkeypatch.setattr("initctl.display.console._UNSEEN", 0)
    return _drawn()


def _drawn():
    controller, descriptor = os.openpty()
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    with open(descriptor, "w") as stream, progress_bar(stream, "writing") as update:
        update(Progress(1_000_000_000, 4_000_000_000))
        update(Progress(4_000_000_000, 4_000_000_000))
    with open(controller, "rb", buffering=0) as terminal:
        return b"".join(_until_closed(terminal)).decode()


def _until_closed(terminal):
    with suppress(OSError):  # what reading from a terminal raises once nobody writes to it
        while text := terminal.read(1 << 16):
            yield text


def test_progress_says_how_many_bytes_of_how_many(drawn):
    assert "writing" in drawn
    assert "4.0/4.0 GB" in drawn


@pytest.mark.parametrize(("columns", "has_label", "has_bar"), [(30, False, False), (40, True, False), (60, True, True)])
def test_a_narrow_terminal_gets_the_numbers_before_a_bar(monkeypatch, columns, has_label, has_bar):
    monkeypatch.setattr("initctl.display.console._UNSEEN", 0)
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = [ESCAPE.sub("", line) for line in re.split("[\r\n]+", _drawn())]
    assert max(map(len, lines)) <= columns
    assert [line for line in lines if "4.0/4.0 GB" in line and "0:00:00" in line]
    assert has_label == any("writing" in line for line in lines)
    assert has_bar == any("━" in line for line in lines)


def test_nothing_is_drawn_of_what_takes_less_than_a_second():
    assert _drawn() == ""


def test_progress_is_erased_at_its_end_and_the_cursor_shown(drawn):
    assert drawn.index("\x1b[?25l") < drawn.rindex("\x1b[?25h") < drawn.rindex("\x1b[2K")
