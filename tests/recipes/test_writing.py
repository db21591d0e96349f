"""The effective recipe needs no other file, and gives the same plan."""

from __future__ import annotations

import json
import re
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

import initctl
from initctl.recipes.presets import preset_names
from initctl.recipes.reading import read_preset
from tests.planning.tables import checkpoint_of

if TYPE_CHECKING:
    from initctl.rules import Rule

CONFIG = {
    "hidden": 64, "rate": 0.25, "on": True, "name": "m", "odd": "it's \"quoted\"", "sizes": [1, 2.5, 3],
    "neg": -2, "tiny": 1e-05, "text": {"n": 3}, "kinds": ["a", "b"],
}  # fmt: skip


@pytest.fixture
def source(tmp_path: Path) -> Path:
    tensors = {f"l.{n}.weight": torch.ones(6, 4, dtype=torch.float32) for n in range(3)}
    save_file(
        {**tensors, "l.0.bias": torch.ones(4), "emb": torch.ones(8, 2), "s": torch.tensor(1.0)},
        tmp_path / "m.safetensors",
    )
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    return tmp_path / "m.safetensors"


def same_plan(source: Path, **given: Any) -> str:
    """What `given` does, and what its effective recipe does, also without config.json, must be the same."""
    folder = source.parent
    lenient: dict[str, Any] = {"allow_unused": True, "allow_partial": True}
    plan = initctl.plan(source, **lenient | given)
    recipe, expected = plan.recipe(), filled(plan)
    (folder / "effective.toml").write_text(recipe, encoding="utf-8")
    again = {"recipes": [folder / "effective.toml"], **lenient}
    assert filled(initctl.plan(source, **again)) == expected
    (folder / "config.json").rename(folder / "away.json")
    try:
        assert filled(initctl.plan(source, **again)) == expected
    finally:
        (folder / "away.json").rename(folder / "config.json")
    return recipe


def filled(plan: initctl.Plan) -> tuple[int, list[Any]]:
    """All that decides values: the seed, and each tensor, its rows, law and numbers, written out in full."""
    return plan.seed, [
        (a.tensor.name, a.rows, a.initializer, repr(sorted(a.arguments.items())), repr(sorted(a.derived.items())))
        for a in plan.actions
    ]


def written(source: Path, text: str, **given: Any) -> str:
    (source.parent / "r.toml").write_text(text, encoding="utf-8")
    return same_plan(source, recipes=[source.parent / "r.toml"], **given)


def test_rules_of_the_command_line(source: Path):
    rules = [
        "*=zeros",
        "l.{n}.weight[n:-1]=normal:std=1/(n+1)",
        "re:l\\.(?P<k>\\d)\\.bias=constant:val=k+0.5",
        "s=keep",
    ]
    recipe = same_plan(source, rules=rules, seed=2**64 - 1)
    document = tomllib.loads(recipe)
    assert document["seed"] == 2**64 - 1
    assert [rule["match"] for rule in document["rule"]] == [
        "*", "l.{n}.weight[n:-1]", "re:l\\.(?P<k>\\d)\\.bias", "s",
    ]  # fmt: skip
    assert "vars" not in document


def test_rules_stand_as_they_were_written_with_what_their_names_stand_for(source: Path):
    text = """
        seed = 3
        [vars]
        a = "config.hidden / b"
        b = "config.neg - 2"
        c = 0.5
        idle = "config.rate"
        [config]
        silent = 5
        [[rule]]
        match = "l.*.weight[ 1 :b + 10]"
        init = "normal:mean=a*b"
        std = "abs(b)**config.neg + config.tiny * config.silent * c"
        where = "config.on and config.name == 'm' and ndim == 2"
    """
    document = tomllib.loads(written(source, text))
    assert document["vars"] == {"b": "config.neg - 2", "a": "config.hidden / b", "c": 0.5}
    assert document["config"] == {"on": True, "name": "m", "neg": -2, "hidden": 64, "tiny": 1e-05, "silent": 5}
    assert document["rule"] == [
        {
            "match": "l.*.weight[ 1 :b + 10]",
            "init": "normal",
            "mean": "a*b",
            "std": "abs(b)**config.neg + config.tiny * config.silent * c",
            "where": "config.on and config.name == 'm' and ndim == 2",
        }
    ]


def test_what_config_json_says_is_written_of_whatever_type(source: Path):
    text = """
        [[rule]]
        match = "l.*.weight"
        init = "normal"
        std = "config.sizes[layer]"
        where = 'config.odd != "x" and config.kinds[0] == "a" and config.text.n == 3'
        [[rule]]
        match = "emb[config.sizes[0]:]"
        init = "constant"
        val = "first(config.nothing, config.sizes[1])"
    """
    document = tomllib.loads(written(source, text))
    assert document["config"] == {"sizes": [1, 2.5, 3], "odd": CONFIG["odd"], "kinds": ["a", "b"], "text.n": 3}


def test_what_a_base_model_says_is_written_too(source: Path):
    (source.parent / "base.json").write_text('{"hidden": 16, "text": {"n": 1}, "idle": 3}')
    text = """
        [vars]
        width = "config.hidden / base.hidden"
        [base]
        silent = 5
        hidden = 1
        [[rule]]
        match = "l.*.weight"
        init = "normal"
        std = "1 / sqrt(width) + base.text.n * base.silent + first(base.nothing, 0)"
    """
    document = tomllib.loads(written(source, text, base_config=source.parent / "base.json"))
    assert document["config"] == {"hidden": 64}
    assert document["base"] == {"hidden": 16, "text.n": 1, "silent": 5}
    assert document["rule"][0]["std"] == "1 / sqrt(width) + base.text.n * base.silent + first(base.nothing, 0)"


def test_a_key_of_a_base_model_that_two_recipes_take_otherwise_becomes_two_keys(source: Path):
    first, second = source.parent / "1.toml", source.parent / "2.toml"
    rule = '[[rule]]\nmatch = "{}"\ninit = "constant"\nval = "base.x + config.x"\n'
    for path, match, x in ((first, "emb", 1), (second, "s", 2)):
        path.write_text(f"[config]\nx = 7\n[base]\nx = {x}\n" + rule.format(match))
    document = tomllib.loads(same_plan(source, recipes=[first, second]))
    assert (document["config"], document["base"]) == ({"x": 7}, {"x": 1, "x_2": 2})
    assert [rule["val"] for rule in document["rule"]] == ["base.x + config.x", "base.x_2 + config.x"]


def test_a_capture_hides_a_variable_of_its_name(source: Path):
    text = '[vars]\nn = 100\nm = "n + 1"\n[[rule]]\nmatch = "l.{n}.weight"\ninit = "constant"\nval = "m"\n'
    document = tomllib.loads(written(source, text))
    assert document["vars"] == {"m": "n + 1"}
    text += '[[rule]]\nmatch = "l.2.weight"\ninit = "constant"\nval = "m"\n'
    document = tomllib.loads(written(source, text))
    assert document["vars"] == {"m": "n + 1", "n": 100}


RULE_OF_M = '[[rule]]\nmatch = "{}"\ninit = "constant"\nval = "m + {}"\n'


def test_a_name_that_means_two_things_to_two_recipes_becomes_two_names(source: Path):
    first, second = source.parent / "1.toml", source.parent / "2.toml"
    first.write_text('[vars]\nn = 1\nm = "n + 1"\nsame = 3\n' + RULE_OF_M.format("emb", "same"))
    second.write_text(
        '[vars]\nn = 2\nm = "n + 1"\nsame = 3\n'
        + RULE_OF_M.format("s", "same")
        + RULE_OF_M.format("l.{n_2}.weight", "n_2")
    )
    rules = ["l.0.bias=constant:val=n*m"]  # it knows the variables of all recipes, the last ones first
    document = tomllib.loads(same_plan(source, recipes=[first, second], rules=rules))
    assert document["vars"] == {
        "n": 1, "m": "n + 1", "same": 3, "n_2": 2, "m_2": "n_2 + 1", "n_3": 2, "m_3": "n_3 + 1"
    }  # fmt: skip
    assert [rule["val"] for rule in document["rule"]] == ["m + same", "m_2 + same", "m_3 + n_2", "n_2*m_2"]


def test_a_key_of_config_json_that_two_recipes_take_otherwise_becomes_two_keys(source: Path):
    first, second = source.parent / "1.toml", source.parent / "2.toml"
    (source.parent / "config.json").write_text('{"hidden": 64, "x_2": 100}')
    rule = '[[rule]]\nmatch = "{}"\ninit = "constant"\nval = "first(config.x, 7) + config.hidden"\n'
    first.write_text("[config]\nx = 1\nhidden = 5\n" + rule.format("emb"))
    second.write_text(rule.format("s"))
    document = tomllib.loads(same_plan(source, recipes=[first, second]))
    assert document["config"] == {"x": 1, "hidden": 64}
    assert [rule["val"] for rule in document["rule"]] == [
        "first(config.x, 7) + config.hidden",
        "first(config.x_3, 7) + config.hidden",
    ]


def test_presets_recipes_and_seeds_become_one(source: Path):
    text = 'seed = 11\noptional = true\n[[rule]]\nmatch = ["nothing", "emb"]\ninit = "uniform"\na = -0.5\n'
    recipe = written(source, text, preset="gpt2", rules=["s=constant:val=config.rate"])
    document = tomllib.loads(recipe)
    assert document["seed"] == 11
    assert document["config"]["rate"] == 0.25
    assert document["rule"][-1] == {"match": "s", "init": "constant", "val": "config.rate"}
    assert {rule["match"]: rule.get("optional") for rule in document["rule"]}["nothing"] is True


def test_names_with_every_character_are_quoted(source: Path):
    rules = ['re:.*["\\\\\x7f]=zeros', "l.0.w\\eight=ones", "\u00e9\\=\\[x\\]=zeros"]
    document = tomllib.loads(same_plan(source, rules=rules))
    assert [rule["match"] for rule in document["rule"]] == [rule.rpartition("=")[0] for rule in rules]


def test_what_is_too_long_with_a_new_name_is_refused(source: Path):
    recipes = [source.parent / f"{n}.toml" for n in range(2)]
    for n, path in enumerate(recipes):
        val = "+".join(["v"] * 99) + " " * 795
        path.write_text(f'[vars]\nv = {n}\n[[rule]]\nmatch = "emb"\ninit = "constant"\nval = "{val}"\n')
    assert initctl.plan(source, recipes=recipes, allow_unused=True).actions
    with pytest.raises(initctl.RuleError, match="is longer than 1000 characters after variables are renamed"):
        initctl.plan(source, recipes=recipes, allow_unused=True).recipe()


def test_many_variables_that_use_each_other_are_written(source: Path):
    doubled = "\n".join(f'v{n} = "v{n + 1} + v{n + 1}"' for n in range(60))
    written(source, f'[vars]\n{doubled}\nv60 = "0.1"\n[[rule]]\nmatch = "emb"\ninit = "constant"\nval = "v0/2**60"\n')


def test_nothing_given_is_no_recipe(source: Path):
    with pytest.raises(initctl.UsageError, match="no rules given"):
        initctl.plan(source).recipe()


NUMBER = st.sampled_from(
    ["0.5", "a", "b", "config.hidden", "config.neg", "ndim", "numel", "config.sizes[1]", "1e-5", "pi"]
)
EXPRESSION = st.recursive(
    NUMBER,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/"]), inner).map(" ".join),
        inner.map(lambda text: f"({text})"),
        inner.map(lambda text: f"-{text}"),
        st.tuples(inner, inner).map(lambda pair: f"max({pair[0]}, {pair[1]})"),
    ),
    max_leaves=5,
)
RULE = st.tuples(
    st.sampled_from(["*", "l.*.weight", "l.{0..1}.*", "emb[2:]", "emb[:-config.neg]", "*[:ndim]", "s"]),
    st.sampled_from(["true", "ndim == 2", "config.on and numel > 5", "not config.hidden < b", 'dtype != "bfloat16"']),
    st.sampled_from(["constant:val={}", "normal:mean={},std=0.1", "uniform:a=-1e6,b=abs({})", "keep"]),
    EXPRESSION,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**64 - 1),
    variables=st.tuples(EXPRESSION.filter(lambda text: "a" not in text and "b" not in text), EXPRESSION),
    rules=st.lists(RULE, min_size=1, max_size=4),
)
def test_any_recipe_gives_the_same_plan_when_it_is_written_out(
    source: Path, seed: int, variables: tuple[str, str], rules: list[tuple[str, str, str, str]]
):
    a, b = variables
    assume("b" not in b.replace("numel", ""))
    lines = [f"seed = {seed}", "[vars]", f"a = '{a}'", f"b = '{b}'"]
    for match, where, call, expression in rules:
        lines += ["[[rule]]", f"match = '{match}'", f"where = '{where}'", f"init = '{call.format(expression)}'"]
    text = "\n".join(lines)
    try:
        written(source, text)
    except initctl.FitError:  # a value that does not fit, or rows of no dims
        assume(False)


@pytest.mark.parametrize("preset", preset_names())
def test_every_preset_gives_the_same_plan_when_it_is_written_out(tmp_path: Path, preset: str):
    rules = read_preset(preset).rules
    (tmp_path / "config.json").write_text(json.dumps(config_for(preset)))
    table = {name: shape for rule in rules if (name := a_name(rule)) and (shape := fitting(tmp_path, preset, name))}
    assert 2 * len(table) >= len(rules)
    same_plan(checkpoint_of(tmp_path, table), preset=preset)


def a_name(rule: Rule) -> str:
    """One that the rule's pattern matches."""
    text = rule.selector.names.pattern
    while (inner := re.sub(r"\{([^{},]*),[^{}]*\}", r"\1", text)) != text:
        text = inner
    name = re.sub(r"\[!?(.)[^]]*\]", r"\1", re.sub(r"\{[^}]*\}", "1", text).replace("*", "h.1."))
    return name if rule.selector.names.matches(name) else ""


def fitting(folder: Path, preset: str, name: str) -> tuple[str, list[int]] | None:
    """A table's entry for `name` that the preset's rules fit."""
    for shape in ([8, 8], [8], [8, 8, 8], [8, 8, 8, 8], [1]):
        with suppress(initctl.FitError):
            source = checkpoint_of(folder, {name: ("F32", shape)})
            if initctl.plan(source, preset=preset, allow_unused=True, allow_partial=True).actions:
                return "F32", shape
    return None


def config_for(preset: str) -> dict[str, Any]:
    """All that the rules of `preset` may ask of config.json, a number for each."""
    recipe = read_preset(preset)
    config: dict[str, Any] = {}
    texts = [*recipe.scope.vars.values(), *(rule.where for rule in recipe.rules if rule.where)]
    names = {name for expression in texts for name in expression.names}
    names |= set(re.findall(r"config\.[\w.]+", " ".join(rule.text for rule in recipe.rules)))
    for name in sorted(name for name in names if name.startswith("config.")):
        *tables, key = name.split(".")[1:]
        table = config
        for inner in tables:
            table = table.setdefault(inner, {})
        table[key] = 2
    return config


def test_the_recipe_of_the_examples_gives_the_same_plan_when_it_is_written_out(tmp_path: Path):
    (tmp_path / "config.json").write_text("{}")
    table = {f"fc{n}.{name}": ("F32", shape) for n in (1, 2) for name, shape in (("weight", [4, 4]), ("bias", [4]))}
    recipe = Path(__file__).parents[2] / "examples" / "recipe.toml"
    document = tomllib.loads(same_plan(checkpoint_of(tmp_path, table), recipes=[recipe], seed=0))
    assert document == tomllib.loads(recipe.read_text()) | {"seed": 0}


def test_a_plan_that_was_loaded_has_no_rules(source: Path, tmp_path: Path):
    initctl.plan(source, rules=["emb=zeros"]).save(tmp_path / "plan.json")
    with pytest.raises(initctl.UsageError, match="saved without its rules, so it cannot be written as a recipe"):
        initctl.load_plan(tmp_path / "plan.json").recipe()
