"""The picture in the README shows what happens today."""

from __future__ import annotations

from tests.picture import PICTURE, drawn, words
from tests.readme import README


def test_the_picture_shows_what_its_commands_print(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert words(drawn(tmp_path)) == words(PICTURE.read_text())


def test_the_picture_is_in_the_readme_and_fetches_nothing():
    assert f"({PICTURE.parent.name}/{PICTURE.name})" in README.read_text()
    assert "url(" not in PICTURE.read_text().replace("url(#", "")
    assert PICTURE.read_text().count("http") == 1  # the name of SVG
