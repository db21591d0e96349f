"""The value stream under tests of randomness: `python -m tests.randomness`.

    streams.py       words of one tensor, of neighboring names and seeds, of uniform and normal numbers
    words.py         six quick tests of words, which the suite runs on each stream
    moments.py       moments, tails and frequencies of the laws' values, against what they must be
    correlations.py  between tensors of neighboring names and seeds, and between elements
    batteries.py     TestU01 and dieharder, if they are installed
    testu01.c        feeds TestU01 with words from standard input
    finding.py       one result: a p-value, and what it says

Every result is the same in every run. Batteries that are not installed are named as missing.
"""
