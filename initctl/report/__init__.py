"""Results as text: tables for people, one JSON document for programs. The only place that knows rich.

    envelope.py        the JSON document
    console.py         where text goes, and whether it may be coloured
    checkpoints.py     what a checkpoint holds
    initializers.py    the list of initializers, and one explained
    presets.py         the list of presets
    demo.py            what the demonstration did
    progress.py        bytes and rate while work is going on

Everything here returns text or writes to the stream it is given; nothing is decided.
"""
