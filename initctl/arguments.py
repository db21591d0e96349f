"""The names of options in Python: messages name options, and callers in Python read the names of arguments."""

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
    "--base-config": "base_config",
    "--buffers": "buffers",
    "--commit": "Parts.commit",
    "--component": "component",
    "--config": "config",
    "--device": "device",
    "--dims": "dims",
    "--dry-run": "dry_run=True",
    "--dtype": "dtype",
    "--force": "overwrite=True",
    "--in-place": "in_place=True",
    "--like": "like",
    "--max-shard-size": "max_shard_size",
    "--no-clobber": "overwrite=False",
    "--other-root": "other_root",
    "--part": "Parts.write",
    "--part I/N": "Parts.write(I, N)",
    "--patch": "in_place='patch'",
    "--plan": "the plan",
    "--require-all": "require_all=True",
    "--reset-optimizer": "reset_optimizer=True",
    "--resume": "in_place='resume'",
    "--rng": "rng",
    "--root": "root",
    "--rows": "rows",
    "--seed": "seed",
    "--set": "settings",
    "--set-config": "set_config",
    "--stale": "stale",
    "--table": "table",
    "--threads": "threads",
    "-f": "recipes",
    "-o": "output",
    "-o OUT": "output",
    "-p": "preset",
    "-r": "rules",
    "give each its own -r": "put a comma between them",
    "initctl apply --report": "Manifest.save",
    "initctl apply --resume": "in_place='resume' for",
    "`initctl inspect CHECKPOINT --json` writes such a table": "initctl.inspect(CHECKPOINT).to_json() is such a table",
    "initctl plan --save": "Plan.save",
    "initctl verify --report": "initctl.load_manifest",
    "max-shard-size:": "max_shard_size:",
    "set-config:": "set_config:",
    "reset-optimizer:": "reset_optimizer=True:",
    "patch: new values": "in_place='patch': new values",
    "pass the plan with --plan": "load the plan with initctl.load_plan",
}
"""Options, and phrases with options, and the words for Python."""
_VALUE = (
    r"'[^']*'|(?:keep|drop|cpu|torch|current_model_state|FOLDER|\d+[A-Z]+)\b|(?<=-p )[\w-]*\w|"
    r"(?<=--component )(?!out\b)[\w./-]*\w"
)
"""The value of an option in messages: a name, or one of a few words."""
_MAPPINGS = ("rows", "dims", "set_config")
"""Arguments that are dicts: an option's value is a key and its value."""
_LONGEST_FIRST = "|".join(map(re.escape, sorted(ARGUMENTS, key=len, reverse=True)))
_OPTION = re.compile(rf"(?<![\w'-])(?P<option>{_LONGEST_FIRST})(?![\w-])(?: (?P<value>{_VALUE}))?")


def in_python(message: str) -> str:
    """`message` with arguments of Python in place of options.

    The name of a file or a tensor that begins with a hyphen is quoted in messages, and stays unchanged.
    """
    return _OPTION.sub(_argument, message)


def _argument(found: re.Match[str]) -> str:
    argument, value = ARGUMENTS[found["option"]], found["value"]
    if value is None:
        return f"`{argument}`" if argument.isidentifier() else argument
    value = value if value.startswith("'") else f"'{value}'"
    if argument in _MAPPINGS:
        key, _, item = value.strip("'").rpartition("=")
        return f"{argument}={{'{key}': {item}}}"
    return f"{argument}=[{value}]" if argument == "rules" else f"{argument}={value}"
