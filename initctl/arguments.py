"""What Python calls the options of the command line: messages name options, and Python's callers read arguments."""

from __future__ import annotations

import re

_VERIFY = "initctl.verify(ORIGINAL, RESULT)"
ARGUMENTS = {
    "--activation": "activation",
    "--against": _VERIFY,
    "--against ORIGINAL": _VERIFY,
    "--all": "unfold=True",
    "--allow-partial": "allow_partial=True",
    "--allow-unused": "allow_unused=True",
    "--buffers": "buffers",
    "--component": "component",
    "--device": "device",
    "--force": "overwrite=True",
    "--in-place": "in_place=True",
    "--max-shard-size": "max_shard_size",
    "--no-clobber": "overwrite=False",
    "--other-root": "other_root",
    "--patch": "in_place='patch'",
    "--plan": "the plan",
    "--require-all": "require_all=True",
    "--reset-optimizer": "reset_optimizer=True",
    "--rng": "rng",
    "--root": "root",
    "--seed": "seed",
    "--stale": "stale",
    "--threads": "threads",
    "-f": "recipes",
    "-o": "output",
    "-o OUT": "output",
    "-p": "preset",
    "-r": "rules",
    "give each its own -r": "put a comma between them",
    "initctl apply --report": "Manifest.save",
    "initctl plan --save": "Plan.save",
    "max-shard-size:": "max_shard_size:",
    "reset-optimizer:": "reset_optimizer=True:",
    "patch: new values": "in_place='patch': new values",
    "pass the plan with --plan": "load the plan with initctl.load_plan",
}
"""Options, and phrases with them that Python says in other words."""
_VALUE = r"'[^']*'|(?:keep|drop|cpu|torch|FOLDER|\d+[A-Z]+)\b|(?<=-p )[\w-]*\w|(?<=--component )(?!out\b)[\w./-]*\w"
"""What follows an option in messages, if it takes a value: a name, or one of few words."""
_LONGEST_FIRST = "|".join(map(re.escape, sorted(ARGUMENTS, key=len, reverse=True)))
_OPTION = re.compile(rf"(?<![\w'-])(?P<option>{_LONGEST_FIRST})(?![\w-])(?: (?P<value>{_VALUE}))?")


def in_python(message: str) -> str:
    """`message` with arguments of Python in place of options.

    Messages quote the name of a file or a tensor that begins with a hyphen: that stays as it is.
    """
    return _OPTION.sub(_argument, message)


def _argument(found: re.Match[str]) -> str:
    argument, value = ARGUMENTS[found["option"]], found["value"]
    if value is None:
        return f"`{argument}`" if argument.isidentifier() else argument
    value = value if value.startswith("'") else f"'{value}'"
    return f"{argument}=[{value}]" if argument == "rules" else f"{argument}={value}"
