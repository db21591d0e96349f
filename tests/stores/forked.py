"""Run with a URL: reads bytes of the object, in this process and in one that is forked, and prints what was read."""

from __future__ import annotations

import os
import sys

from initctl.commit.copying import read_into
from initctl.formats.opening import opened
from initctl.stores.mirror import mirrored
from initctl.stores.url import Url

LENGTH = 100


def main(url: str) -> None:
    with opened(mirrored(Url.parse(url))) as (descriptor, _):
        _print(descriptor, 0)
        child = os.fork()
        if not child:
            _print(descriptor, LENGTH)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        _print(descriptor, 2 * LENGTH)


def _print(descriptor: int, offset: int) -> None:
    room = memoryview(bytearray(LENGTH))
    read_into(descriptor, room, offset)
    os.write(1, room)


if __name__ == "__main__":
    main(sys.argv[1])
