"""Each row of the tables of bad inputs is shown by a case of the corpus, or by a test that exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import tests
from tests.broken import test_documents, torch_oddities
from tests.broken.corpus import FAULTS, ODDITIES
from tests.broken.rows import BESIDES, ELSEWHERE, NOT_SHOWN, all_rows
from tests.broken.text_faults import ASKED

FOLDER = Path(tests.__file__).parent
CASES = [
    *(case.name for case in (*FAULTS, *ODDITIES, *torch_oddities.ODDITIES, *ASKED)),
    *test_documents.CONTENTS,
    *test_documents.PLACES,
]
IN_THE_CORPUS = {name.partition("-")[0] for name in CASES}
NAMES = {name for path in FOLDER.rglob("test_*.py") for name in re.findall(r"def (test_\w+)", path.read_text("utf-8"))}


@pytest.mark.parametrize("row", all_rows())
def test_a_row_is_shown_in_one_way(row: str):
    assert row in IN_THE_CORPUS or row in ELSEWHERE or row in NOT_SHOWN
    assert not (row in ELSEWHERE and row in NOT_SHOWN)


@pytest.mark.parametrize("row", ELSEWHERE | BESIDES)
def test_the_tests_of_a_row_exist(row: str):
    assert set((ELSEWHERE | BESIDES)[row].split()) <= NAMES


def test_no_row_is_listed_that_is_none_or_that_the_corpus_has():
    assert (ELSEWHERE.keys() | NOT_SHOWN.keys()) <= set(all_rows()) - IN_THE_CORPUS
    assert set(BESIDES) <= IN_THE_CORPUS
