"""Small changes to real files, for hypothesis to choose."""

from __future__ import annotations

from hypothesis import strategies as st

Edit = tuple[int, str, int]
"""Where, counted past the end from the beginning again; what; and the byte, or the bit of it."""

edits = st.lists(
    st.tuples(
        st.integers(0, 1 << 20), st.sampled_from(["flip", "set", "insert", "delete", "cut"]), st.integers(0, 255)
    ),
    min_size=1,
    max_size=3,
)


def edited(content: bytes, edits: list[Edit]) -> bytes:
    """`content` with `edits` made one after another."""
    for far, kind, byte in edits:
        at = far % max(len(content), 1)
        match kind:
            case "flip":
                content = content[:at] + bytes(b ^ (1 << byte % 8) for b in content[at : at + 1]) + content[at + 1 :]
            case "set":
                content = content[:at] + bytes([byte]) + content[at + 1 :]
            case "insert":
                content = content[:at] + bytes([byte]) + content[at:]
            case "delete":
                content = content[:at] + content[at + 1 :]
            case "cut":
                content = content[:at]
    return content
