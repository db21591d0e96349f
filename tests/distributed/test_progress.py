"""Tables of the split and of the parts that are written."""

from __future__ import annotations

from initctl.distributed.progress import Split, Status
from initctl.distributed.receipt import Receipt, WrittenRange
from initctl.distributed.split import Piece, Share

RECEIPT = Receipt("0" * 20, 2, 3, (WrittenRange("f", 0, 1000, 1),), "ho\x1bst", 1.25)
PIECES = [Piece(f"f{number}", 0, 1000) for number in range(5)]


def test_a_row_of_the_split_names_the_first_ranges_and_all_if_it_is_unfolded():
    split = Split("out", (Share(PIECES), Share()))
    folded, unfolded = (str(split.report(unfold=unfold)[0]) for unfold in (False, True))
    assert "f2 from 0 to 1,000, and 2 more" in folded
    assert "f4 from 0 to 1,000" in unfolded
    assert split.report()[-1] == "out: 5.0 kB in 2 parts of at most 5.0 kB"


def test_the_status_of_parts_lists_what_is_missing():
    status = Status("out", (None, RECEIPT, None))
    assert (status.missing, status.is_complete) == ((1, 3), False)
    assert status.report()[-1] == "out: 1 of 3 parts written"
    assert "\x1b" not in str(status.report()[0])
    assert Status("out", (RECEIPT,)).is_complete
    assert not Status("out", ()).is_complete
