"""Whichever request fails, and however: the old objects or the new ones are there, and no upload is left."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

from tests.stores.sweeps import ANSWERS, complete, results, swept

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = [
    pytest.mark.filterwarnings("ignore::initctl.InitctlWarning"),
    pytest.mark.usefixtures("small_parts", "impatient"),
]
_MARK = r"\.r[0-9a-f]{6}(?=\.)"
CHOSEN = [
    ("new", "ConditionalRequestConflict-1"),
    ("copied", "SlowDown-9"),
    ("copied", "lost-9"),
    ("replaced", "PreconditionFailed-1"),
    ("replaced", "lost-1"),
    ("directory", "AccessDenied-1"),
    ("prefix", "SlowDown-9"),
    ("prefix", "lost-9"),
]
"""Those that find most. With `INITCTL_ALL_FAULTS=1`, every kind of result meets every answer."""
if os.environ.get("INITCTL_ALL_FAULTS"):
    CHOSEN = [(kind, str(answer)) for kind in dict(CHOSEN) for answer in ANSWERS]


@pytest.mark.parametrize(("kind", "answer"), CHOSEN)
def test_the_old_objects_or_the_new_ones_are_there(server, tmp_path, kind, answer):
    result = next(one for one in results(tmp_path) if one.name == kind)
    new = without_marks(complete(server, result))
    for found in swept(server, result, next(one for one in ANSWERS if str(one) == answer)):
        objects = without_marks(found.objects)
        assert found.status in (0, 3, 5, 6, 7)
        if found.status == 0:
            assert objects == new
        elif found.status != 7:
            assert found.objects == result.before
        elif found.request[0] == "COMPLETE":
            assert objects in (new, result.before)
        else:  # an old shard could not be removed
            assert set(new.items()) <= set(objects.items())
        is_lost_beginning = found.request[0] == "BEGIN" and answer.startswith("lost")
        assert is_lost_beginning or not found.uploads


def without_marks(objects: Mapping[str, bytes]) -> dict[str, bytes]:
    """`objects` with the names that shards have if the marks of runs in place are left out. The new ones win."""
    marked = sorted(objects.items(), key=lambda pair: bool(re.search(_MARK, pair[0])))
    return {re.sub(_MARK, "", name): re.sub(_MARK.encode(), b"", content) for name, content in marked}
