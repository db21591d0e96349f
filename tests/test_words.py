"""No sentence of the package, README.md or the examples uses a word that has a plainer one: WORDS."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

WORDS = {
    "told|tells?|telling": "reports, lists, names, says",
    "lest": "so that … not",
    "likewise": "also",
    "beforehand": "first",
    "wherever": "everywhere that",
    "upon": "on",
    "thereof": "of it",
    "stands?(?!-in)|stood": "is",
    "lies?": "is, is at",
    "(comes?|came) to": "is, gives, becomes",
    "so many": "that many",
    "takes? (no )?part": "is used, is ignored",
    "as there(?! (is|are|was|were|may))": "as it was",
    "such as it is": "as it is",
    "that which|those which": "the tensor that",
    "(is|are|was|were) one that": "is a tensor that",
    r"(?<!there\s)(is|are|was|were) no(?! (longer|more|less|fewer))": "is not a",
    "where (it|there|this|that|one|they|these|those|not all|all) (is|are|was|were|has|have) (not|none|no|one)": "if",
    "where (there|none|nothing|no)": "if",
    r"(raises \w+|except|even|only) where": "if",
    "grey|colours?|coloured|behaviours?|centred?|labelled|cancelled|modelling": "American spelling",
    "towards|whilst|amongst|artefacts?|analyse[ds]?|analysing|licence": "American spelling",
    "(initial|serial|normal|recogn|optim|organ|general|final|real|emphas)is(e[ds]?|ing|ations?)": "American spelling",
}
"""Words, as a regular expression, and what to write in place of them."""

ROOT = Path(__file__).parent.parent
TEXTS = [
    path.relative_to(ROOT)
    for pattern in ("README.md", "initctl/**/*", "examples/**/*")
    for path in sorted(ROOT.glob(pattern))
    if path.is_file() and path.suffix not in {".png", ".pyc", ".svg", ".typed"}
]
BETWEEN = r"[\s#]+"
"""Between two words of a sentence, which may go on in the next line of a comment."""


@pytest.mark.parametrize("path", TEXTS, ids=str)
def test_every_sentence_uses_plain_words(path: Path):
    text = (ROOT / path).read_text()
    assert not [f"{path}:{line}: {words}: write {plain}" for line, words, plain in complaints(text, path)]


def test_a_word_is_found_in_a_docstring_a_message_and_a_comment():
    code = '"""What it\n\ncomes\nto."""\n\nraise E(\n    f"{name} is no {kind}"\n)  # as\n# there\nlies = "lies"\n'
    assert [line for line, *_ in complaints(code, Path("module.py"))] == [3, 7, 8]


def complaints(text: str, path: Path) -> list[tuple[int, str, str]]:
    """Of each word that has a plainer one: its line, the words around it, and what to write."""
    return sorted(
        {
            (first + sentence.count("\n", 0, found.start()), around(sentence, found), plain)
            for first, sentence in (sentences(text) if path.suffix == ".py" else [(1, text)])
            for words, plain in WORDS.items()
            for found in re.finditer(rf"(?i)(?<![\w-])({words.replace(' ', BETWEEN)})(?![\w-])", without_code(sentence))
        }
    )


def without_code(sentence: str) -> str:
    return re.sub(r"`[^`\n]+`", lambda code: "_" * len(code[0]), sentence)


def around(sentence: str, found: re.Match[str]) -> str:
    before, after = sentence[: found.start()].split()[-6:], sentence[found.end() :].split()[:6]
    return " ".join([*before, *found[0].split(), *after])


def sentences(code: str) -> Iterator[tuple[int, str]]:
    """Each string with a blank in it and each comment, with the number of its first line."""
    nodes = list(ast.walk(ast.parse(code)))
    formatted = {part for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in nodes:
        if isinstance(node, ast.JoinedStr):
            parts = (part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
            yield node.lineno, "".join(parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in formatted:
            yield node.lineno, node.value if " " in node.value else ""
    tokens = tokenize.generate_tokens(io.StringIO(code).readline)
    comments = ((token.start[0], token.string) for token in tokens if token.type == tokenize.COMMENT)
    for _, numbered in groupby(enumerate(comments), lambda numbered: numbered[1][0] - numbered[0]):
        lines, texts = zip(*(comment for _, comment in numbered), strict=True)
        yield lines[0], "\n".join(texts)
