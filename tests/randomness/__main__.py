"""`python -m tests.randomness`: a Markdown table of results on stdout, or the words of a stream."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from functools import partial

from tests.randomness import correlations, moments, words
from tests.randomness.batteries import BATTERIES, Missing
from tests.randomness.finding import HEADING, Finding
from tests.randomness.streams import AT_ONCE, STREAMS, first_words

QUICK = "words", "laws", "correlations", "SmallCrush"
"""What is run if nothing is named: with 10^9 values, in some ten minutes."""


def main() -> int:
    """Run what is asked for; 1 if a test fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.randomness", description="Test the value stream.")
    parts = "words", "laws", "correlations", *BATTERIES
    parser.add_argument(
        "parts",
        nargs="*",
        choices=[[], *parts],
        metavar="PART",
        help=f"of {', '.join(parts)}; default: {', '.join(QUICK)}",
    )
    parser.add_argument("--values", type=float, default=1e9, help="values of each law (default: 1e9)")
    parser.add_argument("--tensors", type=int, default=512, help="tensors that are correlated (default: 512)")
    parser.add_argument("--streams", nargs="*", choices=STREAMS, default=[*STREAMS], help="default: all")
    parser.add_argument(
        "--words", choices=STREAMS, metavar="STREAM", help=f"write its words, endlessly: {', '.join(STREAMS)}"
    )
    options = parser.parse_args()
    if options.words:
        return write(options.words)
    print(HEADING)
    found = [shown(finding) for part in options.parts or QUICK for finding in findings(part, options)]
    weak, failed = (sum(finding.verdict == verdict for finding in found) for verdict in ("weak", "fails"))
    print(f"\n{len(found)} results: {weak} weak ({len(found) / 500:.1f} are expected by chance), {failed} failed")
    return int(failed > 0)


def findings(part: str, options: argparse.Namespace) -> Iterator[Finding]:
    """The results of one part."""
    if part == "laws":
        for law in moments.LAWS:
            yield from moments.findings(law, int(options.values))
    elif part == "correlations":
        yield from correlations.findings(options.tensors, 1 << 18)
    else:
        of_stream = quick if part == "words" else partial(run, part)
        for stream in options.streams:
            yield from of_stream(stream)


def quick(stream: str, count: int = 16 * AT_ONCE) -> list[Finding]:
    """The six tests of words, on the first `count` words of a stream."""
    return words.findings(stream, first_words(STREAMS[stream](), count))


def run(battery: str, stream: str) -> list[Finding]:
    """The results of a battery; none if it is not installed."""
    try:
        return BATTERIES[battery](stream)
    except Missing as fault:
        print(f"{battery} on {stream}: not run: {fault}", file=sys.stderr)
        return []


def shown(finding: Finding) -> Finding:
    print(finding.row, flush=True)
    return finding


def write(stream: str) -> int:
    """Write words until the reader closes the pipe."""
    try:
        for some in STREAMS[stream]():
            sys.stdout.buffer.write(some)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())
