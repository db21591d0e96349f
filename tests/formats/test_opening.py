"""Directories are listed whole, or an error says why not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from initctl.formats.opening import names_in

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_directory_whose_opening_a_signal_interrupts_is_opened_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Network file systems can do that."""
    (tmp_path / "file").touch()
    scandir, interruptions = os.scandir, [InterruptedError(), InterruptedError()]

    def interrupted(folder: str) -> object:
        if interruptions:
            raise interruptions.pop()
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", interrupted)
    assert names_in(str(tmp_path)) == ["file"]
    assert interruptions == []
