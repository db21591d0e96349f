"""Recipes: every key and type, what they extend, and how a fault is told."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import initctl
from initctl.recipes.presets import find_preset, preset_for, presets
from initctl.recipes.reading import read_preset, read_recipe
from tests.requests import request

if TYPE_CHECKING:
    from pathlib import Path

RULE = '[[rule]]\nmatch = "*.bias"\ninit = "zeros"\n'


def recipe(folder: Path, text: str | bytes, name: str = "r.toml") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refused(folder: Path, text: str | bytes, kind: type[initctl.InitctlError] = initctl.RuleError) -> str:
    with pytest.raises(kind) as raised:
        request(recipes=[recipe(folder, text)])
    assert raised.value.exit_status == 2
    (problem,) = raised.value.problems
    assert "\n" not in str(problem)
    return str(problem)


def rules(path: Path) -> list[tuple[str, str]]:
    """Each rule of a recipe: its selector's pattern, and its call."""
    return [(rule.selector.names.pattern, str(rule.call)) for rule in read_recipe(path).rules]


def test_every_key(tmp_path: Path):
    text = """
        seed = 18446744073709551615
        extends = []
        optional = true
        [preset]
        summary = "a"
        source = "b"
        model_types = ["c"]
        [vars]
        a = 1
        b_2 = 0.5
        c = "a / b_2"
        [config]
        hidden = 64
        text.deep.name = "x"
        on = true
        sizes = [1, 2.5, "a"]
        [base]
        hidden = 32
        text.deep.name = "y"
        [[rule]]
        match = ["*.weight[2:]", 're:.*\\.bias']
        where = "ndim == 2"
        init = "normal:mean=1"
        std = "c"
        optional = false
        [[rule]]
        match = "x"
        init = "keep"
    """
    found = read_recipe(recipe(tmp_path, text))
    assert [seed.value for seed in found.seeds] == [2**64 - 1]
    assert found.scope.defaults == {
        "config.hidden": 64, "config.text.deep.name": "x", "config.on": True, "config.sizes": (1, 2.5, "a"),
        "base.hidden": 32, "base.text.deep.name": "y",
    }  # fmt: skip
    assert {name: variable.text for name, variable in found.scope.vars.items()} == {
        "a": "1",
        "b_2": "0.5",
        "c": "a / b_2",
    }
    one, other, last = found.rules
    assert (one.selector.names.pattern, other.selector.names.pattern) == ("*.weight", "re:.*\\.bias")
    assert one.selector.rows
    assert str(one.call) == str(other.call) == "normal:mean=1,std=c"
    assert one.where == other.where
    assert (one.optional, other.optional, last.optional) == (False, False, True)
    assert one.source == f"{tmp_path}/r.toml: rule 1"
    assert last.source == f"{tmp_path}/r.toml: rule 2"


@pytest.mark.parametrize(
    ("value", "call"),
    [
        ("0.02", "normal:std=0.02"), ("1", "normal:std=1"), ("1e-5", "normal:std=1e-05"), ('"1/2"', "normal:std=1/2"),
        ("0x10", "normal:std=16"), ("1_000", "normal:std=1000"), ("'''2'''", "normal:std=2"),
    ],
)  # fmt: skip
def test_parameters_are_numbers_or_expressions(tmp_path: Path, value: str, call: str):
    path = recipe(tmp_path, f'[[rule]]\nmatch = "a"\ninit = "normal"\nstd = {value}\n')
    assert rules(path) == [("a", call)]
    assert request(recipes=[path]).rules


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('sed = 1\n', "unknown key sed; did you mean seed?"),
        ('rules = []\n', "unknown key rules; did you mean rule?"),
        (
            'x = 1\n',
            "unknown key x; the keys are seed, extends, optional, vars, config, base, rows, dims, set_config, rule,",
        ),
        ('[preset]\nsumary = "a"\n', "preset: unknown key sumary; did you mean summary?"),
        ("seed = -1\n", "seed: '-1' is not a whole number from 0 to 2^64 - 1"),
        ("seed = 18446744073709551616\n", "seed: 18446744073709551616 is not"), ("seed = 1.0\n", "seed: 1.0 is not"),
        ('seed = "1"\n', 'seed: "1" is text; write seed = 1 without quotes'),
        ("seed = true\n", "seed: True is not a whole number"),
        ("optional = 1\n", "optional: must be true or false"), ('optional = "true"\n', "optional: must be"),
        ("vars = 1\n", "vars: must be a table: [vars]"), ("config = []\n", "config: must be a table: [config]"),
        ("base = 1\n", "base: must be a table: [base]"), ("[base]\na = [[1]]\n", "base.a: must be a number, a string"),
        ("[base]\na.b = inf\n", "base.a.b: inf is not a finite number"),
        ("preset = 1\n", "preset: must be a table"), ("rule = 1\n", "rule: must be a list of tables; write [[rule]]"),
        ("rule = [1]\n", "rule: must be a list of tables"),
        ('[rule]\nmatch = "a"\n', "rule: must be a list of tables; write [[rule]]"),
        ("extends = 1\n", "extends: must be a string or a list of strings"), ("extends = [1]\n", "extends: must be"),
        ("[vars]\nfan_in = 1\n", "vars.fan_in: cannot be the name of a variable"),
        ("[vars]\nsqrt = 1\n", "vars.sqrt: cannot be the name"),
        ('[vars]\n"a.b" = 1\n', "vars.a.b: cannot be the name"),
        ('[vars]\n"é" = 1\n', "vars.é: cannot be the name"), ("[vars]\npi = 3\n", "vars.pi: cannot be"),
        ("[vars]\nand = 3\n", "vars.and: cannot be"), ("[vars]\nnan = 3\n", "vars.nan: cannot be"),
        ("[vars]\na = nan\n", "vars.a: nan: nan is not a finite number"), ("[vars]\na = -inf\n", "vars.a: "),
        ("[vars]\na = [1]\n", "vars.a: must be a number or a string"), ('[vars]\na = ""\n', "vars.a: must be a number"),
        ('[vars]\na = "1+"\n', "vars.a: 1+: ends too early"), ("[vars]\na = 1979-05-27\n", "vars.a: must be a number"),
        ("[config]\na = 1979-05-27\n", "config.a: must be a number, a string"),
        ("[config]\na = [[1]]\n", "config.a: must"),
        ("[config]\na = nan\n", "config.a: nan is not a finite number"), ("[config]\na.b = -inf\n", "config.a.b: -inf"),
        ("[config.b]\na = [{x = 1}]\n", "config.b.a: must be"),
        ('[[rule]]\ninit = "zeros"\n', "rule 1: match is missing; write, for example,"),
        ('[[rule]]\nmatch = "a"\n', "rule 1: init is missing; write, for example,"),
        ('[[rule]]\nmatch = []\ninit = "zeros"\n', "rule 1: match: is empty"),
        ('[[rule]]\nmatch = 1\ninit = "zeros"\n', "rule 1: match: must be a string or a list of strings"),
        ('[[rule]]\nmatch = ["a", 1]\ninit = "zeros"\n', "rule 1: match: must be"),
        ('[[rule]]\nmatch = ""\ninit = "zeros"\n', "rule 1: match: pattern '': empty"),
        ('[[rule]]\nmatch = "a["\ninit = "zeros"\n', "rule 1: match: pattern a[: the bracket at column 2"),
        ('[[rule]]\nmatch = "a"\ninit = "zeros"\nwhere = 1\n', "rule 1: where: must be a string"),
        ('[[rule]]\nmatch = "a"\ninit = ["zeros"]\n', "rule 1: init: must be a string"),
        ('[[rule]]\nmatch = "a"\ninit = []\n', "rule 1: init: must be a string"),
        ('[[rule]]\nmatch = "a"\ninit = "zeros"\nwhere = []\n', "rule 1: where: must be a string"),
        ('[[rule]]\nmatch = "a"\ninit = ["zeros", "ones"]\n', "rule 1: init: must be a string"),
        ('[[rule]]\nmatch = "a"\ninit = 0\n', "rule 1: init: must be a string"),
        ('[[rule]]\nmatch = "a"\ninit = ""\n', "rule 1: init: the initializer is missing"),
        ('[[rule]]\nmatch = "a"\ninit = "normal:std"\n', "rule 1: init: std is not key=value"),
        ('[[rule]]\nmatch = "a"\ninit = "zeros"\noptional = "no"\n', "rule 1: optional: must be true or false"),
        ('[[rule]]\nmatch = "a"\ninit = "zeros"\nwhere = "ndim =="\n', "rule 1: where: ndim ==: ends too early"),
        ('[[rule]]\nmatch = "a"\ninit = "normal"\nstd = [1]\n', "rule 1: std: must be a number or a string"),
        ('[[rule]]\nmatch = "a"\ninit = "normal"\nstd = " "\n', "rule 1: std: must be a number or a string"),
        ('[[rule]]\nmatch = "a"\ninit = "normal:std=1"\nstd = 2\n', "rule 1: std: is also given in init; give it once"),
        ('[[rule]]\nmatch = "a"\ninit = "normal:std=1,std=2"\n', "rule 1: init: parameter std is given twice"),
        ('[[rule]]\nmatch = "a"\ninit = "nrmal"\n', "unknown initializer nrmal; did you mean"),
        ('[[rule]]\nmatch = "a"\ninit = "normal"\nsdt = 1\n', "normal has no parameter sdt; did you mean std?"),
        ('[[rule]]\nmatch = "a"\ninit = "normal"\nstd = -1\n', "std='-1' is not a number of 0 or more"),
        ('[[rule]]\nmatch = "a"\ninit = "normal"\nstd = nan\n', "nan is not a finite number"),
        ('[[rule]]\nmatch = "a"\ninit = "normal"\nstd = true\n', "true is not a number"),
        ('[[rule]]\nmatch = "a"\ninit = "normal"\nstd = "nmel"\n', "unknown name nmel; did you mean numel?"),
        ('[[rule]]\nmatch = "a"\ninit = "keep"\nstd = 1\n', "keep takes no parameters"),
        ("", "has no rules; write [[rule]]"), ("seed = 1\n", "has no rules"), ("rule = []\n", "has no rules"),
        ("seed = 1\nseed = 2\n", "is not valid TOML: "), ("a =\n", "r.toml:1:4: is not valid TOML: Invalid value"),
        ("[[rule]]\nmatch = \"a\"\nmatch = \"b\"\n", "is not valid TOML: "),
        ("a = " + "9" * 5000, "is not valid TOML: "),
        ("a = " + "[" * 3000, "is not valid TOML: "), ("a: 1\n- b\n", "is not valid TOML: "),
        ('{"rule": []}', "is not valid TOML: "),
        ("\u0000", "is not valid TOML: "), ("a = 1\rb = 2\r", "is not valid TOML: "),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_file_table_and_key(tmp_path: Path, text: str, told: str):
    if text.startswith(("[vars]", "[config", "seed", "[preset]", "optional", "extends")) and told.find("has no") < 0:
        text += RULE
    message = refused(tmp_path, text)
    assert re.match(rf"{re.escape(str(tmp_path))}/r\.toml(:[0-9]+){{0,2}}: ", message)
    assert told in message, message
    assert len(message) < 800


JSON = 'this looks like JSON; a recipe is TOML: [[rule]], and below it match = "*.bias" and init = "zeros"'
YAML = JSON.replace("JSON", "YAML")


@pytest.mark.parametrize(
    ("text", "said"),
    {
        RULE + "seed = 3\n": ":4:1: seed is below [[rule]], so TOML makes it part of rule 1; "
        "move it above the first [[rule]]",
        RULE + 'extends = ["a.toml"]\n': ":4:1: extends is below [[rule]], so TOML makes it part of rule 1; "
        "move it above the first [[rule]]",
        RULE + "optional = True\n": "write true",
        "optional = False\n" + RULE: "write false",
        RULE + "std = .02\n": "write 0.02",
        RULE + "std = -.5e-3\n": "write -0.5e-3",
        RULE + "std = 2.\n": "write a digit after the point, such as 2.0",
        RULE + "std = 50%\n": "write 0.5 for 50%",
        RULE + "std = 0.02f\n": "a number has digits, one point and an exponent, such as 0.02 or 1e-5",
        RULE + "mean = 0, std = 1\n": "write each key on its own line",
        RULE + "std = None\n": "leave the key out",
        RULE + "std = fan_in\n": "write strings in quotes",
        RULE + 'std = "fan_in\n': "close the quotes",
        '[[rule]]\nmatch = "re:fc\\d.weight"\n': "write a string with a backslash in single quotes: '…'",
        RULE + 'init = "ones"\n': "this key is given twice: delete one",
        "[vars]\na = 1\n[vars]\nb = 1\n": "write this header once, and all its keys below it",
        "[rule]\nmatch = 'a'\n" + RULE: "write [[rule]] above each rule, also above the first",
        "rule:\n  - match: a\n": YAML,
        "- match: a\n": YAML,
        "---\nrule:\n": YAML,
        "import torch\n": JSON.partition("; ")[2],
        '[[rule]]\nmatch: "a"\n': "write = in place of :",
        '{"rule": []}': JSON,
        '[\n  {"match": "a"}]': JSON,
        "// a\n" + RULE: "write # before a comment",
        "*.bias=zeros\n": JSON.partition("; ")[2],
        "[vars]\ns = 1\n" + RULE.replace("zeros", "normal:std=zzzz"): "zzzz; known names: s, fan_in, fan_out, numel, "
        "ndim, shape, dtype, layer, layers, config.KEY, base.KEY and sibling.NAME",
    }.items(),
)
def test_a_common_mistake_is_answered_with_what_to_write(tmp_path: Path, text: str, said: str):
    assert refused(tmp_path, text).endswith(said)


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + RULE.encode(),
        RULE.replace("\n", "\r\n").encode(),
        b"# \xc3\xa9\n" + RULE.encode(),
        b"\n\t" + RULE.encode(),
    ],
)
def test_a_mark_or_other_line_ends_change_nothing(tmp_path: Path, content: bytes):
    assert rules(recipe(tmp_path, content)) == [("*.bias", "zeros")]


@pytest.mark.parametrize(
    ("content", "told"),
    {b"a = '\xff'": "is not UTF-8 at byte 5", RULE.encode("utf-16"): "is not UTF-8 at byte 0"}.items(),
)
def test_what_is_not_utf_8_is_refused(tmp_path: Path, content: bytes, told: str):
    assert refused(tmp_path, content) == f"recipe {tmp_path}/r.toml: {told}; name a TOML file of rules"


def test_what_is_no_file_to_read_is_refused_at_once(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    recipe(tmp_path, b"#" * ((1 << 20) + 1), "long.toml")
    recipe(tmp_path, f'extends = "no.toml"\n{RULE}', "lost.toml")
    for name, told in {
        "no.toml": "no.toml: no such file or directory",
        "pipe": "pipe: is not a regular file",
        "": "is a directory",
        "long.toml": "long.toml: is longer than 1,048,576 bytes",
        "lost.toml": "no.toml: no such file or directory",
    }.items():
        with pytest.raises(initctl.UsageError) as raised:
            read_recipe(tmp_path / name)
        assert told in str(raised.value)
        assert str(raised.value).startswith("recipe " if name != "lost.toml" else f"{tmp_path}/lost.toml:1:1: recipe ")
    recipe(tmp_path, RULE.encode() + b"#" * ((1 << 20) - len(RULE)), "just.toml")
    assert read_recipe(tmp_path / "just.toml").rules
    for text in ("", 'extends = "a\\u0000b"'):
        with pytest.raises(initctl.UsageError, match="null byte"):
            read_recipe(recipe(tmp_path, text) if text else "a\0b")


# What a recipe extends


def one(name: str, extends: str = "", more: str = "") -> str:
    return f'{extends}\n{more}\n[[rule]]\nmatch = "{name}"\ninit = "zeros"\n'


def patterns(path: Path) -> list[str]:
    return [pattern for pattern, _ in rules(path)]


def test_what_is_extended_comes_first_in_its_order(tmp_path: Path):
    recipe(tmp_path, one("a"), "a.toml")
    recipe(tmp_path, one("b", 'extends = "a.toml"'), "b.toml")
    recipe(tmp_path, one("c"), "c.toml")
    assert patterns(recipe(tmp_path, one("d", 'extends = ["c.toml", "b.toml"]'))) == ["c", "a", "b", "d"]
    assert patterns(recipe(tmp_path, 'extends = "b.toml"')) == ["a", "b"]


def test_paths_are_relative_to_the_file_that_names_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    recipe(tmp_path, one("a"), "x/y/a.toml")
    recipe(tmp_path, one("b", 'extends = "y/a.toml"'), "x/b.toml")
    path = recipe(tmp_path, one("c", 'extends = "../x/b.toml"'), "z/c.toml")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert patterns(path) == ["a", "b", "c"]
    absolute = recipe(tmp_path, one("d", f'extends = "{tmp_path}/x/y/a.toml"'), "d.toml")
    assert patterns(absolute) == ["a", "d"]


def test_what_is_reached_twice_counts_once(tmp_path: Path):
    recipe(tmp_path, one("a"), "a.toml")
    recipe(tmp_path, one("b", 'extends = "a.toml"'), "b.toml")
    recipe(tmp_path, one("c", 'extends = "./x/../a.toml"'), "c.toml")
    (tmp_path / "x").mkdir()
    (tmp_path / "link.toml").symlink_to("a.toml")
    assert patterns(recipe(tmp_path, one("d", 'extends = ["b.toml", "c.toml", "link.toml"]'))) == ["a", "b", "c", "d"]


def test_a_cycle_is_told_with_the_way_around(tmp_path: Path):
    recipe(tmp_path, one("a", 'extends = "b.toml"'), "a.toml")
    recipe(tmp_path, one("b", 'extends = "c.toml"'), "b.toml")
    recipe(tmp_path, one("c", 'extends = "b.toml"'), "c.toml")
    recipe(tmp_path, one("s", 'extends = "s.toml"'), "s.toml")
    for name, chain in {"a": "b.toml -> c.toml -> b.toml", "s": "s.toml -> s.toml"}.items():
        with pytest.raises(initctl.RuleError) as raised:
            read_recipe(tmp_path / f"{name}.toml")
        (problem,) = raised.value.problems
        assert problem.code == "recipe.cycle"
        assert problem.message.endswith(f"extends itself: {chain}")


def test_more_than_64_documents_are_refused(tmp_path: Path):
    for number in range(70):
        recipe(tmp_path, one(f"l{number}", f'extends = "{number + 1}.toml"' if number < 69 else ""), f"{number}.toml")
    with pytest.raises(initctl.RuleError, match="extends more than 64 documents"):
        read_recipe(tmp_path / "0.toml")
    assert len(patterns(tmp_path / "6.toml")) == 64
    names = ", ".join(f'"{number}.toml"' for number in range(6, 70))
    with pytest.raises(initctl.RuleError, match="extends more than 64 documents"):
        read_recipe(recipe(tmp_path, one("wide", f"extends = [{names}]")))


def test_presets_can_be_extended(tmp_path: Path):
    own = one("x", 'extends = "preset:gpt2"', "[vars]\nR = 0.5")
    found = read_recipe(recipe(tmp_path, own))
    assert [r.text for r in found.rules[:-1]] == [r.text for r in read_preset("gpt2").rules]
    assert found.scope.vars["R"].text == "0.5"
    assert found.rules[0].source.startswith("preset gpt2: rule 1")
    with pytest.raises(initctl.UsageError, match="unknown preset gtp2; did you mean gpt2"):
        read_recipe(recipe(tmp_path, one("x", 'extends = "preset:gtp2"')))


def values(folder: Path, *paths: Path, rules: tuple[str, ...] = (), **options: Any) -> dict[str, float]:
    """What each of some tensors of one number gets."""
    save_file({name: torch.zeros(1) for name in ("a", "b", "c")}, folder / "m.safetensors")
    initctl.apply(folder / "m.safetensors", folder / "o.safetensors", recipes=paths, rules=rules, **options)
    return {name: tensor.item() for name, tensor in load_file(folder / "o.safetensors").items()}


def test_variables_and_config_are_overridden_through_extends(tmp_path: Path):
    base = '[vars]\nx = 1\ny = "x + config.k"\n[config]\nk = 10\n[[rule]]\nmatch = "a"\ninit = "constant"\nval = "y"\n'
    recipe(tmp_path, base, "base.toml")
    path = recipe(tmp_path, 'extends = "base.toml"\n[vars]\nx = 2\n')
    assert values(tmp_path, tmp_path / "base.toml")["a"] == 11
    assert values(tmp_path, path)["a"] == 12
    path = recipe(tmp_path, 'extends = "base.toml"\n[vars]\nx = 2\n[config]\nk = 20\n')
    assert values(tmp_path, path)["a"] == 22
    (tmp_path / "config.json").write_text('{"k": 30}')
    assert values(tmp_path, path)["a"] == 32
    assert values(tmp_path, path, rules=("b=constant:val=x*100",)) == {"a": 32, "b": 200, "c": 0}


def test_recipes_given_side_by_side_do_not_change_each_others_variables(tmp_path: Path):
    text = '[vars]\nx = {}\n[[rule]]\nmatch = "{}"\ninit = "constant"\nval = "x"\n'
    one, other = (recipe(tmp_path, text.format(n, name), f"{name}.toml") for n, name in ((1, "a"), (2, "b")))
    assert values(tmp_path, one, other, rules=("c=constant:val=x",)) == {"a": 1, "b": 2, "c": 2}


@pytest.mark.parametrize(
    ("seeds", "given", "used"),
    [
        ((None, None), None, 0),
        ((3, None), None, 3),
        ((None, 4), None, 4),
        ((3, 3), None, 3),
        ((3, 4), 5, 5),
        ((3, 4), 0, 0),
    ],
)
def test_the_seed_is_the_given_one_or_that_of_the_recipes(
    tmp_path: Path, seeds: tuple[int | None, ...], given: int | None, used: int
):
    paths = [
        recipe(tmp_path, ("" if seed is None else f"seed = {seed}\n") + one(name), f"{name}.toml")
        for name, seed in zip("ab", seeds, strict=True)
    ]
    assert request(recipes=paths, seed=given).seed == used
    nested = recipe(tmp_path, 'extends = ["a.toml", "b.toml"]')
    assert request(recipes=[nested], seed=given).seed == used


SEEDS = {"a.toml": "seed = 3\n", "b.toml": "seed = 0\n", "c.toml": 'extends = "a.toml"\n', "none.toml": ""}


def seeded(folder: Path) -> None:
    for name, text in SEEDS.items():
        recipe(folder, text + one(name[0]), name)


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a"), ("none", "a", "b"), ("c", "b"), ("b", "none", "c")])
def test_recipes_that_say_different_seeds_are_refused_unless_one_is_given(tmp_path: Path, names: tuple[str, ...]):
    seeded(tmp_path)
    paths = [tmp_path / f"{name}.toml" for name in names]
    nested = recipe(tmp_path, f"extends = {[f'{name}.toml' for name in names]}")
    first, second = (("b", 0), ("a", 3)) if names[0] == "b" else (("a", 3), ("b", 0))
    for given in (paths, [nested]):
        with pytest.raises(initctl.UsageError) as raised:
            request(recipes=given)
        assert raised.value.exit_status == 2
        assert str(raised.value) == (
            f"recipes: {tmp_path}/{first[0]}.toml says seed = {first[1]} and "
            f"{tmp_path}/{second[0]}.toml says seed = {second[1]}; choose one with `seed`"
        )
        assert request(recipes=given, seed=5).seed == 5
        with pytest.raises(initctl.UsageError, match="choose one with `seed`"):
            request(recipes=given, preset="auto")
        assert request(recipes=given, preset="auto", seed=0).seed == 0


def test_a_recipe_decides_over_the_seeds_of_those_that_it_extends(tmp_path: Path):
    seeded(tmp_path)
    path = recipe(tmp_path, 'seed = 9\nextends = ["a.toml", "b.toml"]')
    assert request(recipes=[path]).seed == 9
    assert request(recipes=[path, recipe(tmp_path, "seed = 9\n" + one("x"), "x.toml")], preset="gpt2").seed == 9


def test_a_seed_may_be_any_kind_of_integer():
    for given in (np.int64(7), np.uint8(7), np.array(7), 7):
        assert request(rules=["a=ones"], seed=given).seed == 7  # type: ignore[arg-type]
    for given in (True, np.bool_(True), 7.0, np.float64(7), np.array([7, 7]), np.int64(-1)):
        with pytest.raises(initctl.UsageError, match="is not a whole number from 0 to 2"):
            request(rules=["a=ones"], seed=given)  # type: ignore[arg-type]


def test_a_seed_that_is_a_str_is_refused_as_such():
    with pytest.raises(initctl.UsageError, match=r"^seed: '7' is a str; give an int$"):
        request(rules=["a=ones"], seed="7")  # type: ignore[arg-type]


def test_presets_come_first_and_rules_of_the_caller_last(tmp_path: Path):
    sources = [
        rule.rule.source
        for rule in request(rules=["a=ones"], recipes=[recipe(tmp_path, one("a"))], preset="gpt2").rules
    ]
    assert sources[0].startswith("preset gpt2: ")
    assert sources[-2:] == [f"{tmp_path}/r.toml: rule 1", "rule 1"]


def test_faults_of_several_rules_are_told_together(tmp_path: Path):
    path = recipe(tmp_path, '[[rule]]\nmatch = "a"\ninit = "nrmal"\n[[rule]]\nmatch = "b"\ninit = "normal"\nx = 1\n')
    with pytest.raises(initctl.RuleError) as raised:
        request(rules=["c=oens", "d"], recipes=[path])
    assert len(raised.value.problems) == 4


# Presets


def test_every_preset_is_a_recipe_that_tells_what_it_is_for():
    for name, preset in presets().items():
        assert read_preset(name).rules
        assert preset.name == name
        assert preset.summary
        assert preset.source


@pytest.mark.parametrize("name", ["gtp2", "GPT2", "", "preset:gpt2", "../gpt2", "zzz", "gpt2.toml"])
def test_an_unknown_preset_is_refused(name: str):
    with pytest.raises(initctl.UsageError) as raised:
        find_preset(name)
    (problem,) = raised.value.problems
    assert problem.code == "preset.unknown"
    assert problem.hint in ("did you mean gpt2?", "did you mean -p gpt2?", "`initctl presets` lists them")


def test_the_preset_for_a_model_is_found_by_its_type():
    assert preset_for({"model_type": "gpt2"}, "").name == "gpt2"
    for config in (None, {}, {"model_type": "zzz"}, {"model_type": None}, {"model_type": ["gpt2"]}):
        with pytest.raises(initctl.UsageError, match="preset auto: "):
            preset_for(config, "there is no config.json")


def test_a_document_that_would_count_twice_is_refused(tmp_path: Path):
    save_file({"a": torch.ones(2)}, tmp_path / "m.safetensors")
    (tmp_path / "base.toml").write_text('[[rule]]\nmatch = "a"\ninit = "zeros"\n')
    for name in ("b.toml", "c.toml"):
        (tmp_path / name).write_text('extends = "base.toml"\n[[rule]]\nmatch = "*"\ninit = "ones"\n')
    with pytest.raises(initctl.RuleError, match=r"b\.toml and .*c\.toml: both include .*base\.toml"):
        initctl.plan(tmp_path / "m.safetensors", recipes=[tmp_path / "b.toml", tmp_path / "c.toml"], allow_unused=True)
    (tmp_path / "d.toml").write_text('extends = "preset:gpt2"\n')
    with pytest.raises(initctl.RuleError, match="both include preset:gpt2"):
        initctl.plan(tmp_path / "m.safetensors", recipes=[tmp_path / "d.toml"], preset="gpt2")
