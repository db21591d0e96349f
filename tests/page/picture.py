"""The picture of a page in the README: what `apply --html` writes of a model that transformers made.

`python -m tests.page.picture` takes it anew, with Chromium; look at it before keeping it. The picture carries the words
of its page, so that a test can tell whether they are still those of today.
"""

from __future__ import annotations

import re
import shlex
import struct
import subprocess
import zlib
from html import unescape
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.cli.processes import MODULE, environment

PICTURE = Path(__file__).parent.parent.parent / "examples" / "page.png"
COMMAND = (
    "initctl apply gpt2/ -o out/ -r '*.{c_attn,c_fc}.weight=xavier_uniform:layout=io'"
    " -r '*.c_proj.weight=normal:std=0.02/sqrt(layer+1)' --html page.html"
)
FILTER = "*.mlp.*.weight"
WIDTH, HEIGHT, SCALE = 880, 1174, 1.25
"""Pixels of the page, and how many of the picture each of them becomes."""
_HEADER = 8 + 25
"""Bytes of a PNG before which nothing else may be: its signature and its first chunk."""
_WORDS = b"iTXtDescription\0\1\0\0\0"
"""The name of a chunk with text, and what comes before that: its key, and that it is compressed."""


def page(folder: Path) -> Path:
    """The page of what the command does to a small GPT-2, in `folder`."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    sizes = {"n_layer": 12, "n_embd": 96, "n_head": 4, "vocab_size": 1000, "n_positions": 128}
    GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=0, eos_token_id=0)).save_pretrained(folder / "gpt2")
    _, *arguments = shlex.split(COMMAND)
    subprocess.run([*MODULE, *arguments], cwd=folder, env=environment(), capture_output=True, check=True)
    return folder / "page.html"


def words(page: Path) -> str:
    """What a page says, without its numbers: other versions of torch and transformers make other ones."""
    body = re.sub(r"<(style|script|svg)\b.*?</\1>", " ", page.read_text(), flags=re.DOTALL)
    return re.sub(r"-?\d[\d.,]*(e-?\d+)?", "#", " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split()))


def taken(page: Path) -> bytes:
    """The picture of a page as PNG, with its words."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        size = {"width": WIDTH, "height": HEIGHT}
        shown = browser.new_page(viewport=size, device_scale_factor=SCALE, color_scheme="light")
        shown.goto(page.as_uri())
        shown.get_by_label("Filter").fill(FILTER)
        shown.get_by_label("Filter").blur()
        png = shown.screenshot(clip={"x": 0, "y": 0, **size})
        browser.close()
    text = _WORDS + zlib.compress(words(page).encode())
    return png[:_HEADER] + struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text)) + png[_HEADER:]


def words_of_picture() -> str:
    """The words of the page that the picture was taken of."""
    _, _, behind = PICTURE.read_bytes().partition(_WORDS)
    return zlib.decompressobj().decompress(behind).decode()


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        PICTURE.write_bytes(taken(page(Path(folder))))
