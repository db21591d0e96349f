"""The picture of a page in the README is of a page as it is today."""

from __future__ import annotations

from tests.page.picture import PICTURE, page, words, words_of_picture
from tests.readme import README


def test_the_picture_was_taken_of_a_page_that_says_what_it_says_today(tmp_path):
    assert words(page(tmp_path)) == words_of_picture()


def test_the_picture_is_in_the_readme_and_small():
    assert f"({PICTURE.parent.name}/{PICTURE.name})" in README.read_text()
    assert PICTURE.stat().st_size < 200_000
