"""Rules, numbers and recipes that cannot be: the rows R and Y of RELIABILITY.md. Its rows of YAML are of TOML here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

RECIPE = "recipe.toml"
RULE = '[[rule]]\nmatch = "w"\ninit = "normal"\n'


@dataclass(frozen=True)
class Asked:
    """What is asked of a good checkpoint, and how it is refused. `recipe` is the content of `recipe.toml`."""

    name: str
    words: str
    rules: tuple[str, ...] = ()
    exit_status: int = 2
    more: tuple[str, ...] = ()
    recipe: bytes | None = None
    options: dict[str, str] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        if self.recipe is not None:
            (folder / RECIPE).write_bytes(self.recipe)

    @property
    def arguments(self) -> list[str]:
        given = [part for rule in self.rules for part in ("-r", rule)]
        return [*given, *(["-f", RECIPE] if self.recipe is not None or "recipe" in self.options else []), *self.more]


def rule(name: str, text: str, words: str, exit_status: int = 2) -> Asked:
    return Asked(name, words, (text,), exit_status)


def numbers() -> Iterator[Asked]:
    yield rule("R01-nan", "w=normal:std=nan", "nan is not a finite number")
    yield rule("R02-negative", "w=normal:std=-1", "-1' is not a number of 0 or more")
    yield rule("R02-negative-truncated", "w=trunc_normal:std=-1", "-1' is not a number of 0 or more")
    yield rule("R03-infinity", "w=normal:std=inf", "inf is not a finite number")
    yield rule("R04-overflow", "w=normal:std=1e999", "std=1e999 overflows")
    yield rule("R05-underflow", "w=normal:std=1e-400", "underflows")
    yield rule("R06-underscore", "w=normal:std=1_000", "unexpected _000")
    yield rule("R06-full-width", "w=normal:std=\uff11", "unexpected \uff11")
    yield rule("R06-arabic", "w=normal:std=\u0661", "unexpected \u0661")
    yield rule("R06-word", "w=normal:std=infinity", "infinity is not a finite number")
    yield rule("R07-hex", "w=normal:std=0x10", "unexpected x10")
    yield rule("R07-comma", "w=normal:std=1,5", "5 is not key=value")
    yield rule("R07-half", "w=normal:std=1e", "std=1e: unexpected e")
    yield rule("R07-empty", "w=normal:std=", "std= is not key=value")
    yield rule("R08-reversed", "w=uniform:a=1,b=0", "a=1 is greater than b=0")
    yield rule("R08-beyond-float32", "w=uniform:a=-4e38,b=4e38", "values up to 8e+38 would overflow float32", 4)
    yield rule("R09-reversed", "w=trunc_normal:a=1,b=0", "a=1 is greater than b=0")
    yield rule(
        "R10-beyond-float16", "h=constant:val=1e6", "tensor h [2, 2]: constant does not fit: float16 cannot hold", 4
    )
    yield rule("R11-gain", "w=xavier_uniform:gain=inf", "inf is not a finite number")
    yield rule("R12-sparsity", "w=sparse:sparsity=2", "sparsity=2 is not a number from 0 to 1")
    yield rule("R13-fans-of-one-dim", "b=xavier_normal", "tensor b [2]: xavier_normal does not fit", 4)
    yield rule("R14-eye-of-one-dim", "b=eye", "tensor b [2]: eye does not fit", 4)
    yield rule("R14-dirac-of-two-dims", "w=dirac", "tensor w [2, 2]: dirac does not fit", 4)
    yield rule("R14-orthogonal-of-one-dim", "b=orthogonal", "tensor b [2]: orthogonal does not fit", 4)
    yield rule("R16-normal-of-integers", "n=normal", "tensor n [2]: normal does not fit", 4)
    yield rule("R18-initializer", "w=nrmal", "did you mean normal")
    yield rule("R18-parameter", "w=normal:sdt=1", "did you mean std")
    yield rule("R18-twice", "w=normal:std=1,std=2", "parameter std is given twice")


def patterns() -> Iterator[Asked]:
    yield rule("R19-no-equals", "w", "no '=' between pattern and initializer")
    yield rule("R19-no-pattern", "=ones", "pattern '': empty")
    yield rule("R19-no-initializer", "w=", "the initializer is missing")
    yield rule("R19-two-equals", "w=ones=ones", "ones=ones cannot be an initializer's name")
    yield rule("R20-matches-nothing", "x.*=ones", "matches no tensor", 4)
    yield Asked(
        "R21-overridden", "rule 1 (w=zeros): has no effect: rule 2 (w=ones) overrides all", ("w=zeros", "w=ones"), 4
    )
    yield rule("R22-longer-than-the-limit", f"{'a*' * 5000}b=ones", "longer than 4096 characters")
    yield rule("R23-set-of-a-number", "w[0].weight=ones", "matches no tensor", 4)
    yield rule("R24-reversed", "[z-a]=ones", "[z-a] matches nothing")
    yield rule("R24-open", "[!a=ones", "a bracket is not closed")
    yield rule("R24-empty", "[]=ones", "[] matches nothing")


def recipe(name: str, content: str | bytes, words: str) -> Asked:
    held = content.encode() if isinstance(content, str) else content
    return Asked(name, words, recipe=held)


def recipes() -> Iterator[Asked]:
    yield recipe("Y01-python-of-yaml", "!!python/object/apply:os.system ['true']", "is not valid TOML")
    yield recipe("Y02-aliases-of-yaml", "a: &a [1]\nb: [*a, *a]\n", "is not valid TOML")
    yield recipe("Y03-deep", RULE + "x = " + "[" * 3000 + "]" * 3000, "is not valid TOML: nested too deeply")
    yield recipe("Y04-key-twice", RULE + 'init = "ones"\n', "is not valid TOML")
    yield recipe("Y04-table-twice", "[vars]\na = 1\n[vars]\nb = 1\n" + RULE, "is not valid TOML")
    yield recipe("Y05-number-that-is-text", RULE + 'std = "1e-3x"\n', "std=1e-3x: unexpected x")
    yield recipe("Y06-true", RULE + "std = true\n", "std=true is not a number of 0 or more")
    yield recipe("Y06-time", RULE + "std = 12:30:45\n", "std: must be a number or a string")
    yield recipe("Y06-nan", RULE + "std = nan\n", "nan is not a finite number")
    yield recipe("Y06-infinity", RULE + "std = -inf\n", "inf is not a finite number")
    yield recipe("Y07-extends-itself", f'extends = ["{RECIPE}"]\n{RULE}', "extends itself")
    yield recipe("Y08-longer-than-the-limit", "#" * (1 << 20) + "\n" + RULE, "is longer than 1,048,576 bytes")
    yield recipe("Y09-unknown-key", "sede = 1\n" + RULE, "unknown key sede; did you mean seed?")
    yield recipe("Y09-unknown-key-of-a-rule", RULE + "stdd = 1\n", "did you mean std?")
    yield recipe("Y10-not-utf-8", b"# \xff\n" + RULE.encode(), "is not UTF-8 at byte 2")
    yield recipe("Y10-utf-16", RULE.encode("utf-16"), "is not UTF-8 at byte 0")
    yield recipe("Y11-merge-key-of-yaml", "<<: *a\n", "is not valid TOML")
    yield recipe("Y12-json", '{"rule": [{"match": "w", "init": "ones"}]}', "is not valid TOML")
    yield recipe("Y12-nul", RULE + "\0", "is not valid TOML")
    yield recipe("N16-comment", "# \x1b[31m\n::error::\n" + RULE, "is not valid TOML")
    yield recipe("N16-key", '"\\u001b[31m\\n::error::" = 1\n' + RULE, "unknown key \\x1b[31m\\x0a::error::")


def places() -> Iterator[Asked]:
    """What is no file at the recipe's path."""
    for name, words in {"Y08-directory": "is a directory", "Y08-pipe": "is not a regular file",
                        "Y08-device": "is not a regular file", "Y08-missing": "no such file"}.items():  # fmt: skip
        yield Asked(name, words, options={"recipe": name.partition("-")[2]})


def place(folder: Path, kind: str) -> None:
    match kind:
        case "directory":
            (folder / RECIPE).mkdir()
        case "pipe":
            os.mkfifo(folder / RECIPE)
        case "device":
            (folder / RECIPE).symlink_to("/dev/zero")


def seeds() -> Iterator[Asked]:
    for name, seed in {
        "negative": "-1",
        "2^64": str(2**64),
        "fraction": "1.5",
        "nan": "nan",
        "underscore": "1_0",
    }.items():
        yield Asked(f"R27-{name}", " is not a whole number from 0 to 2^64 - 1", ("w=ones",), more=("--seed", seed))


ASKED = (*numbers(), *patterns(), *recipes(), *places(), *seeds())
