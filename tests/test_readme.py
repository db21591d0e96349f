"""What the README shows is what happens."""

from __future__ import annotations

from tests.readme import README, rerun


def test_every_block_of_the_readme_runs_and_prints_what_it_shows(tmp_path):
    text = README.read_text()
    assert rerun(text, tmp_path) == text
    assert text.count("```console") > 3
