"""JSON that people can read and that tools compare line by line."""

from __future__ import annotations

import json


def as_json(value: object, margin: str = "\n") -> str:
    """`value` as JSON in ASCII, on lines after `margin`. Each row of a list of objects, such as a tensor, is one line.

    Rows are written all at once, since there may be many.
    """
    inner = f"{margin}  "
    if isinstance(value, dict) and value:
        items = (f"{json.dumps(key)}: {as_json(item, inner)}" for key, item in value.items())
        return f"{{{inner}{f',{inner}'.join(items)}{margin}}}"
    text = json.dumps(value, allow_nan=False)
    if isinstance(value, list) and text.startswith("[{"):
        rows = text[1:-1].replace('}, {"', f'}},{inner}{{"')  # not found in a string, which has \" for "
        return f"[{inner}{rows}{margin}]"
    return text
