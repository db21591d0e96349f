"""What names in a rule's expressions stand for, and what is told where they stand for nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import initctl
from initctl.formats import read_checkpoint
from initctl.planning import surroundings
from tests.planning.tables import checkpoint_of, codes, planned, refusal, refused

if TYPE_CHECKING:
    from pathlib import Path

TABLE = {
    "model.layers.0.w": ("F32", [6, 4]),
    "model.layers.11.w": ("BF16", [6, 4]),
    "model.experts.3.layers.1.w": ("F32", [2, 3, 5]),
    "emb": ("F32", [8]),
    "scale": ("F32", []),
}
NUMBERED = {f"l.{n}.{k}": ("F32", [2]) for n in range(3) for k in range(2)}


def value(folder: Path, expression: str, tensor: str = "model.layers.0.w", **options: Any) -> object:
    """What `expression` comes to for a tensor of the table."""
    plan = planned(folder, options.pop("table", TABLE), f"{tensor}=constant:val={expression}", **options)
    (action,) = plan.actions
    return action.params["val"]


@pytest.mark.parametrize(
    ("tensor", "expression", "result"),
    [
        ("model.layers.0.w", "numel", 24),
        ("scale", "numel", 1),
        ("scale", "ndim", 0),
        ("model.experts.3.layers.1.w", "ndim", 3),
        ("model.experts.3.layers.1.w", "shape[0]*100+shape[1]*10+shape[2]", 235),
        ("model.experts.3.layers.1.w", "shape[-1]", 5),
        ("model.experts.3.layers.1.w", "shape[ndim-1]", 5),
        ("model.layers.0.w", "fan_in*10+fan_out", 46),
        ("model.experts.3.layers.1.w", "fan_in*100+fan_out", 1510),
        ("model.layers.0.w", "layer", 0),
        ("model.layers.11.w", "layer", 11),
        ("model.layers.0.w", "layers", 12),
        ("model.experts.3.layers.1.w", "layer", 3),
        ("model.experts.3.layers.1.w", "layers", 4),
        ("emb", "layers", 12),
        ("model.layers.11.w", "sqrt(2*layers+layer+1)", 6),
    ],
)
def test_names_that_every_tensor_gives_a_meaning(tmp_path: Path, tensor: str, expression: str, result: float):
    assert value(tmp_path, expression, tensor) == result


@pytest.mark.parametrize(
    ("tensor", "expression", "told"),
    [
        ("emb", "layer", "its name has no number between dots; first(layer, -1) gives -1 for such names"),
        ("emb", "fan_in", "1 dim"),
        ("scale", "fan_out", "dim"),
        ("emb", "shape[1]", "index 1 is out of range: shape has length 1"),
        ("scale", "shape[-1]", "index -1 is out of range: shape has length 0"),
        ("emb", "shape", "is not a number"),
        ("emb", "dtype", "float32 is not a number"),
        ("emb", "shape[1/1]", "1.0 is not a whole number"),
        ("emb", "numel[0]", "numel is not a list"),
        ("emb", "1/(ndim-1)", "division by 0"),
        ("emb", "log(-ndim)", "log of -1 is undefined"),
        ("emb", "10**308*numel", "undefined or too large"),
    ],
)
def test_an_expression_without_a_value_names_tensor_rule_and_place(
    tmp_path: Path, tensor: str, expression: str, told: str
):
    rule = f"{tensor}=constant:val={expression}"
    (problem,) = refused(tmp_path, TABLE, rule)
    assert problem.code == "rule.unfit"
    assert problem.message.startswith(f"rule 1 ({rule}): tensor {tensor} {list(TABLE[tensor][1])}: ")
    assert told in problem.message
    assert problem.excerpt is not None
    assert problem.excerpt.text == rule
    assert rule[problem.excerpt.start : problem.excerpt.stop] in expression


@pytest.mark.parametrize(
    ("rule", "said"),
    {
        "h.*.w=normal:std=1/layer": "std=1/layer: division by 0: layer is 0 here; layers count from 0: write layer+1",
        "h.{n}.w=normal:std=n**-2": "std=n**-2: division by 0: n is 0 here",
        "h.0.w=normal:std=1/(layer*2)": "std=1/(layer*2): division by 0",
        "h.0.w=normal:std=1/(layers-2)": "std=1/(layers-2): division by 0: layers is 2 here; write max(layers-2, 1)",
        "h.0.w=normal:std=1/(ndim-1)": "std=1/(ndim-1): division by 0: ndim is 1 here",
    }.items(),
)
def test_a_division_by_0_says_which_name_is_0(tmp_path: Path, rule: str, said: str):
    (problem,) = refused(tmp_path, {f"h.{layer}.w": ("F32", [2]) for layer in range(2)}, rule)
    assert problem.message == f"rule 1 ({rule}): tensor h.0.w [2]: {said}"


def test_layers_of_a_checkpoint_without_numbers_are_not_known(tmp_path: Path):
    table = {"emb": ("F32", [8]), "norm1.w": ("F32", [8])}
    assert "no tensor's name has a number between dots" in refusal(tmp_path, table, "emb=constant:val=layers")


def test_layers_of_an_unnumbered_name_are_counted_where_most_names_have_theirs(tmp_path: Path):
    table = {f"blocks.{n}.w": ("F32", [1]) for n in range(5)} | {f"experts.{n}.w": ("F32", [1]) for n in (0, 90)}
    assert value(tmp_path, "layers", "emb", table={**table, "emb": ("F32", [1])}) == 5


@pytest.mark.parametrize(
    ("pattern", "expected"),
    {
        "l.{n}.*": [0, 0, 1, 1, 2, 2],
        "l.*.{n}": [0, 1, 0, 1, 0, 1],
        "{n}.*": [],
        "*{n}*": [0, 0, 1, 1, 2, 2],
        "re:l\\.(?P<n>[0-9]+)\\..*": [0, 0, 1, 1, 2, 2],
        "re:.*\\.(?P<n>\\d+)": [0, 1, 0, 1, 0, 1],
    }.items(),
)
def test_a_capture_is_the_number_that_stands_there(tmp_path: Path, pattern: str, expected: list[int]):
    if not expected:
        assert codes(refused(tmp_path, NUMBERED, f"{pattern}=constant:val=n")) == ["rule.unused"]
        return
    plan = planned(tmp_path, NUMBERED, f"{pattern}=constant:val=n")
    assert [a.params["val"] for a in plan.actions] == expected


def test_several_captures_and_one_that_hides_nothing(tmp_path: Path):
    plan = planned(tmp_path, NUMBERED, "l.{i}.{k}=constant:val=10*i+k+layers")
    assert [a.params["val"] for a in plan.actions] == [3, 4, 13, 14, 23, 24]


def test_a_capture_may_hide_what_all_tensors_have(tmp_path: Path):
    plan = planned(tmp_path, NUMBERED, "l.{i}.{layer}=constant:val=layer")
    assert [a.params["val"] for a in plan.actions] == [0, 1, 0, 1, 0, 1]


def test_a_group_of_a_regular_expression_that_is_no_number_is_told(tmp_path: Path):
    message = refusal(tmp_path, NUMBERED, "re:(?P<name>l).*=constant:val=name")
    assert "unknown name name" in message


@pytest.mark.parametrize("name", ["nmel", "fan_im", "Layer", "config", "vars", "x", "std", "self"])
def test_an_unknown_name_is_refused_before_the_checkpoint_is_read(name: str):
    rule = f"*=normal:std=1/{name}"
    with pytest.raises(initctl.RuleError) as raised:
        initctl.plan("/no/such/file", rules=[rule])
    (problem,) = raised.value.problems
    assert problem.code == "rule.name"
    assert problem.excerpt is not None
    assert rule[problem.excerpt.start : problem.excerpt.stop] == name
    nearest = {"nmel": "numel", "fan_im": "fan_in", "Layer": "layer"}.get(name)
    assert nearest is None or f"did you mean {nearest}?" in str(problem)


def configured(folder: Path, text: str | None) -> None:
    if text is not None:
        (folder / "config.json").write_text(text, encoding="utf-8")


CONFIG = (
    '{"hidden": 64, "rate": 0.25, "text": {"n": {"deep": 3}}, "sizes": [4, 5], "on": true, "name": "m", "no": null}'
)


@pytest.mark.parametrize(
    ("expression", "result"),
    {
        "config.hidden": 64,
        "config.rate/2": 0.125,
        "config.text.n.deep": 3,
        "config.sizes[1]": 5,
        "config.sizes[layer-1]": 5,
        "1/sqrt(config.hidden)": 0.125,
    }.items(),
)
def test_config_json_gives_numbers_by_dotted_keys(tmp_path: Path, expression: str, result: float):
    configured(tmp_path, CONFIG)
    assert value(tmp_path, expression) == result


@pytest.mark.parametrize(
    ("text", "key", "told"),
    [
        (None, "hidden", "there is no config.json beside the checkpoint; write the value itself"),
        (CONFIG, "hiden", "config.json has no hiden; did you mean hidden? If not, write"),
        (CONFIG, "text.n.dep", "config.json has no text.n.dep; did you mean text.n.deep?"),
        (CONFIG, "zzz", "config.json has no zzz"),
        (CONFIG, "no", "config.json has no no"),
        (CONFIG, "text", "config.json has no text"),
        (CONFIG, "hidden.x", "config.json has no hidden.x"),
        (CONFIG, "on", "true is not a number"),
        (CONFIG, "name", "m is not a number"),
        (CONFIG, "sizes", "is not a number"),
        (CONFIG, "sizes[2]", "index 2 is out of range: config.sizes has length 2"),
        (f'{{"a": {"9" * 400}}}', "a", "is not a finite number, or too large"),
        (f'{{"a": [{"9" * 400}]}}', "a[0]", "is not a finite number, or too large"),
        ('{"a":' * 900 + "1" + "}" * 900, "b", "config.json has no b"),
        ("{}", "hidden", "config.json has no hidden"),
        ('{"hidden": [[1]]}', "hidden", "config.json has no hidden"),
    ],
)
def test_what_config_json_does_not_tell_is_refused_with_tensor_and_rule(
    tmp_path: Path, text: str | None, key: str, told: str
):
    configured(tmp_path, text)
    message = refusal(tmp_path, TABLE, f"emb=constant:val=1+config.{key}")
    assert message.startswith(f"rule 1 (emb=constant:val=1+config.{key}): tensor emb [8]: ")
    assert told in message


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_a_number_of_config_json_that_is_not_finite_is_refused_only_if_a_rule_uses_it(tmp_path: Path, number: str):
    configured(tmp_path, f'{{"a": {number}, "b": 2}}')
    assert planned(tmp_path, TABLE, "emb=constant:val=config.b").actions
    assert "val=config.a: is not a finite number" in refusal(tmp_path, TABLE, "emb=constant:val=config.a")


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{", '{"a": 1, "a": 2}', '{"a": 1e999}', "\ufeff\x00", '{"a": ' * 5000]
)
def test_a_config_json_that_cannot_be_read_is_refused_where_a_rule_asks_for_it(tmp_path: Path, text: str):
    configured(tmp_path, text)
    assert planned(tmp_path, TABLE, "emb=constant:val=numel").actions
    with pytest.raises(initctl.InputError) as raised:
        planned(tmp_path, TABLE, "emb=constant:val=config.a")
    (problem,) = raised.value.problems
    assert problem.code == "config.malformed"
    assert problem.message.startswith(f"{tmp_path}/config.json: ")
    assert "\n" not in str(problem)


def test_a_large_whole_number_goes_on_as_a_float(tmp_path: Path):
    configured(tmp_path, f'{{"a": {2**70 + 1}}}')
    assert value(tmp_path, "config.a") == float(2**70)
    assert value(tmp_path, "config.a/2**70") == 1


def test_a_config_json_that_is_a_directory_is_refused(tmp_path: Path):
    (tmp_path / "config.json").mkdir()
    with pytest.raises(initctl.InputError, match=r"config\.json: is a directory"):
        planned(tmp_path, TABLE, "emb=constant:val=config.a")


GRADIENT = "l.*.w=normal:std=lerp(0.02, 0.01, layer/{})"


@pytest.mark.parametrize("layers", [2, 3, 4, 7, 48])
def test_a_gradient_over_layers_goes_from_the_first_number_to_the_second_in_equal_steps(tmp_path: Path, layers: int):
    table = {f"l.{layer}.w": ("F32", [2]) for layer in range(layers)}
    plan = planned(tmp_path, table, GRADIENT.format("(layers-1)"))
    stds = [action.params["std"] for action in plan.actions]
    assert (stds[0], stds[-1]) == (0.02, 0.01)
    assert stds == pytest.approx([0.02 - 0.01 * layer / (layers - 1) for layer in range(layers)], rel=1e-12)
    assert stds == [
        action.params["std"] for action in planned(tmp_path, table, GRADIENT.format("max(layers-1, 1)")).actions
    ]


def test_a_gradient_over_one_layer_says_what_to_write_and_that_gives_the_first_number(tmp_path: Path):
    table = {"l.0.w": ("F32", [2])}
    told = refusal(tmp_path, table, GRADIENT.format("(layers-1)"))
    assert told.endswith("division by 0: layers is 1 here; write max(layers-1, 1)")
    (action,) = planned(tmp_path, table, GRADIENT.format("max(layers-1, 1)")).actions
    assert action.params["std"] == 0.02


def test_a_gradient_over_the_layers_of_config_json_says_the_same(tmp_path: Path):
    configured(tmp_path, '{"num_hidden_layers": 1}')
    told = refusal(tmp_path, {"l.0.w": ("F32", [2])}, GRADIENT.format("(config.num_hidden_layers-1)"))
    assert told.endswith("config.num_hidden_layers is 1 here; write max(config.num_hidden_layers-1, 1)")


def base_of(folder: Path, text: str) -> Path:
    (folder / "base").mkdir()
    (folder / "base" / "config.json").write_text(text, encoding="utf-8")
    return folder / "base"


@pytest.mark.parametrize("name", ["", "config.json"])
def test_a_base_model_gives_its_widths_by_the_same_keys(tmp_path: Path, name: str):
    configured(tmp_path, CONFIG)
    base = base_of(tmp_path, '{"hidden": 16, "text": {"n": {"deep": 1}}, "sizes": [9]}') / name
    assert value(tmp_path, "sqrt(base.hidden/config.hidden)", base_config=base) == 0.5
    assert value(tmp_path, "config.text.n.deep - base.text.n.deep + base.sizes[0]", base_config=base) == 11


def test_a_condition_may_ask_a_base_model(tmp_path: Path):
    base = base_of(tmp_path, '{"hidden": 6}')
    plan = planned(tmp_path, TABLE, "*=zeros where ndim == 2 and shape[0] == base.hidden", base_config=base)
    assert [action.tensor.name for action in plan.actions] == ["model.layers.0.w", "model.layers.11.w"]


def test_the_values_of_a_base_model_stay_in_a_saved_plan(tmp_path: Path):
    base = base_of(tmp_path, '{"hidden": 16}')
    plan = planned(tmp_path, TABLE, "emb=constant:val=base.hidden", base_config=base)
    plan.save(tmp_path / "plan.json")
    (base / "config.json").unlink()
    (action,) = initctl.load_plan(tmp_path / "plan.json").actions
    assert action.params["val"] == 16


@pytest.mark.parametrize(
    ("text", "key", "told"),
    [
        (None, "hidden", "no base model is given: name its config.json with `base_config`, or write the value itself"),
        (
            CONFIG,
            "hiden",
            "the base model's config.json has no hiden; did you mean hidden? If not, write the value itself",
        ),
        (CONFIG, "zzz", "the base model's config.json has no zzz; write the value itself"),
        (CONFIG, "name", "m is not a number"),
    ],
)
def test_what_a_base_model_does_not_tell_is_refused_with_tensor_and_rule(
    tmp_path: Path, text: str | None, key: str, told: str
):
    configured(tmp_path, '{"hidden": 1}')  # which is not the base model's
    options = {} if text is None else {"base_config": base_of(tmp_path, text)}
    with pytest.raises(initctl.FitError) as raised:
        planned(tmp_path, TABLE, f"emb=constant:val=1+base.{key}", **options)
    message = str(raised.value)
    assert message.startswith(f"rule 1 (emb=constant:val=1+base.{key}): tensor emb [8]: ")
    assert message.endswith(told)


def test_a_recipe_has_values_for_a_base_model_that_is_not_given_or_silent(tmp_path: Path):
    text = '[base]\nhidden = 32\nrate = 0.5\n[[rule]]\nmatch = "emb"\ninit = "constant"\nval = "base.hidden*base.rate"'
    assert planned(tmp_path, TABLE, recipes=[recipe(tmp_path, text)]).actions[0].params["val"] == 16
    base = base_of(tmp_path, '{"hidden": 64}')
    plan = planned(tmp_path, TABLE, recipes=[recipe(tmp_path, text)], base_config=base)
    assert plan.actions[0].params["val"] == 32


def test_a_variable_may_be_called_base_beside_a_base_model(tmp_path: Path):
    text = (
        '[vars]\nbase = 3\n[base]\nhidden = 4\n[[rule]]\nmatch = "emb"\ninit = "constant"\nval = "base * base.hidden"'
    )
    plan = planned(tmp_path, TABLE, recipes=[recipe(tmp_path, text)])
    assert plan.actions[0].params["val"] == 12
    (tmp_path / "again.toml").write_text(plan.recipe())
    assert planned(tmp_path, TABLE, recipes=[tmp_path / "again.toml"]).actions[0].params["val"] == 12


def test_a_recipe_without_a_value_for_a_base_model_is_told_where_to_write_it(tmp_path: Path):
    text = '[[rule]]\nmatch = "emb"\ninit = "constant"\nval = "base.hidden"'
    with pytest.raises(initctl.FitError, match=r"`base_config`, or write hidden = … under \[base\] of the recipe"):
        planned(tmp_path, TABLE, recipes=[recipe(tmp_path, text)])


@pytest.mark.parametrize("rules", [["emb=zeros"], ["emb=constant:val=config.hidden"]])
def test_a_base_model_that_no_rule_asks_is_refused(tmp_path: Path, rules: list[str]):
    configured(tmp_path, CONFIG)
    with pytest.raises(
        initctl.UsageError, match=r"`base_config` has no effect: no rule uses a value base\.KEY"
    ) as raised:
        planned(tmp_path, TABLE, *rules, base_config=base_of(tmp_path, CONFIG))
    assert [problem.code for problem in raised.value.problems] == ["usage.base_config"]


def test_a_base_model_is_read_only_if_it_is_given_and_then_before_the_checkpoint(tmp_path: Path):
    configured(tmp_path, "no json")
    assert planned(tmp_path, TABLE, "emb=constant:val=first(base.a, 5)").actions[0].params["val"] == 5
    base = base_of(tmp_path, "[]")
    for path, code in ((base, "config.malformed"), (tmp_path / "none", "file.missing")):
        with pytest.raises(initctl.InputError) as raised:
            initctl.plan("/no/such/file", rules=["*=normal:std=base.a"], base_config=path)
        assert [problem.code for problem in raised.value.problems] == [code]
    assert str(raised.value).startswith(f"{tmp_path}/none: ")


def test_a_base_model_that_is_not_a_path_is_a_type_error(tmp_path: Path):
    with pytest.raises(TypeError, match=r"^base_config: a dict is not a path; it is a config\.json, or a directory"):
        planned(tmp_path, TABLE, "emb=constant:val=base.a", base_config={"a": 1})


def recipe(folder: Path, text: str) -> Path:
    (folder / "r.toml").write_text(text, encoding="utf-8")
    return folder / "r.toml"


def test_variables_are_asked_anew_for_each_tensor(tmp_path: Path):
    text = '[vars]\nsize = "numel * factor"\nfactor = 2\n[[rule]]\nmatch = ["emb", "scale"]\ninit = "constant:val=size"'
    plan = planned(tmp_path, TABLE, recipes=[recipe(tmp_path, text)])
    assert [a.params["val"] for a in plan.actions] == [16, 2]


def test_a_variable_without_a_value_is_told_with_its_way_there(tmp_path: Path):
    text = '[vars]\na = "1/(ndim-1)"\n[[rule]]\nmatch = "emb"\ninit = "constant"\nval = "2*a"'
    with pytest.raises(initctl.FitError) as raised:
        planned(tmp_path, TABLE, recipes=[recipe(tmp_path, text)])
    assert "a = 1/(ndim-1): division by 0" in str(raised.value)
    assert "tensor emb [8]" in str(raised.value)


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ('a = "b"\nb = "c"\nc = "a"', "variable a refers to itself: a -> b -> c -> a"),
        ('a = "a + 1"', "variable a refers to itself: a -> a"),
    ],
)
def test_variables_that_need_themselves_are_refused_before_the_checkpoint_is_read(
    tmp_path: Path, variables: str, told: str
):
    text = f'[vars]\n{variables}\n[[rule]]\nmatch = "emb"\ninit = "constant"\nval = "2*a"'
    with pytest.raises(initctl.RuleError, match=told) as raised:
        initctl.plan("/no/such/file", recipes=[recipe(tmp_path, text)])
    (problem,) = raised.value.problems
    assert problem.excerpt
    assert problem.excerpt.lines() == ('val = "2*a"', "         ^")


def test_a_variable_may_use_a_number_that_a_pattern_captures_under_its_name(tmp_path: Path):
    text = '[vars]\nn = "n + 1"\nm = "n"\n[[rule]]\nmatch = "model.layers.{n}.w"\ninit = "constant"\nval = "m"'
    plan = planned(tmp_path, TABLE, recipes=[recipe(tmp_path, text)])
    assert [action.params["val"] for action in plan.actions] == [0, 11]


def test_a_variable_that_uses_an_unknown_name_is_refused_before_the_checkpoint_is_read(tmp_path: Path):
    text = '[vars]\na = "2 * nmel"\n[[rule]]\nmatch = "emb"\ninit = "constant"\nval = "a"'
    with pytest.raises(initctl.RuleError, match="nmel"):
        initctl.plan("/no/such/file", recipes=[recipe(tmp_path, text)])


def test_many_variables_in_a_row_and_doubled_ones_come_to_a_value(tmp_path: Path):
    chained = "\n".join(f'v{n} = "v{n + 1} + 1"' for n in range(400))
    text = f'[vars]\n{chained}\nv400 = 1\n[[rule]]\nmatch = "emb"\ninit = "constant"\nval = "v0"'
    (action,) = planned(tmp_path, TABLE, recipes=[recipe(tmp_path, text)]).actions
    assert action.params["val"] == 401
    doubled = "\n".join(f'v{n} = "v{n + 1} + v{n + 1}"' for n in range(50))
    text = f'[vars]\n{doubled}\nv50 = 1\n[[rule]]\nmatch = "emb"\ninit = "constant"\nval = "v0"'
    (action,) = planned(tmp_path, TABLE, recipes=[recipe(tmp_path, text)]).actions
    assert action.params["val"] == 2**50


CONDITIONS = {
    "ndim == 2": ["model.layers.0.w", "model.layers.11.w"],
    "ndim >= 2 and shape[1] == 4": ["model.layers.0.w", "model.layers.11.w"],
    'dtype == "bfloat16"': ["model.layers.11.w"],
    "not ndim < 2 and not dtype == 'bfloat16'": ["model.layers.0.w", "model.experts.3.layers.1.w"],
    "1 < ndim <= 3": ["model.layers.0.w", "model.layers.11.w", "model.experts.3.layers.1.w"],
    "ndim == 0 or ndim == 1 and numel > 5": ["emb", "scale"],
    "true": list(TABLE),
    'config.name != "m" or numel == 1': ["scale"],
    "config.on and ndim == 1": ["emb"],
}


@pytest.mark.parametrize(("where", "names"), CONDITIONS.items())
def test_a_rule_takes_only_tensors_where_its_condition_holds(tmp_path: Path, where: str, names: list[str]):
    configured(tmp_path, CONFIG)
    path = recipe(tmp_path, f"[[rule]]\nmatch = \"*\"\ninit = \"zeros\"\nwhere = '''{where}'''")
    assert [a.tensor.name for a in planned(tmp_path, TABLE, recipes=[path]).actions] == names


@pytest.mark.parametrize(
    ("where", "told"),
    {
        "ndim": "not true or false",
        "ndim and true": "2 is not true or false",
        'dtype > "a"': "float32 is not a number",
        "shape[2] == 1": "index 2 is out of range: shape has length 2",
        "layer == 1 or shape[2] == 1": "shape has length 2",
        "not numel": "24 is not true or false",
        "config.zzz == 1": "no config.json",
    }.items(),
)
def test_a_condition_without_an_answer_is_refused_with_tensor_and_rule(tmp_path: Path, where: str, told: str):
    path = recipe(tmp_path, f"[[rule]]\nmatch = \"model.layers.0.w\"\ninit = \"zeros\"\nwhere = '''{where}'''")
    with pytest.raises(initctl.FitError) as raised:
        planned(tmp_path, TABLE, recipes=[path])
    assert told in str(raised.value)
    assert "tensor model.layers.0.w [6, 4]" in str(raised.value)


def test_a_condition_that_holds_nowhere_is_told_as_such(tmp_path: Path):
    path = recipe(tmp_path, '[[rule]]\nmatch = "*"\ninit = "zeros"\nwhere = "ndim > 7"')
    with pytest.raises(initctl.FitError, match="its condition holds for none of its matches:"):
        planned(tmp_path, TABLE, recipes=[path])


def test_an_optional_rule_may_decide_nothing(tmp_path: Path):
    text = '[[rule]]\nmatch = ["nothing.*", "emb"]\ninit = "zeros"\noptional = true\n'
    plan = planned(tmp_path, TABLE, recipes=[recipe(tmp_path, text)])
    assert [a.tensor.name for a in plan.actions] == ["emb"]
    assert plan.warnings == ()
    all_optional = 'optional = true\n[[rule]]\nmatch = "nothing"\ninit = "zeros"\n[[rule]]\nmatch = "no"\ninit = "ones"'
    assert planned(tmp_path, TABLE, recipes=[recipe(tmp_path, all_optional)]).actions == ()
    but_one = f"{all_optional}\noptional = false"
    with pytest.raises(initctl.FitError, match=r"rule 2 .*matches no tensor"):
        planned(tmp_path, TABLE, recipes=[recipe(tmp_path, but_one)])


def test_an_optional_rule_must_fit_where_it_decides(tmp_path: Path):
    text = '[[rule]]\nmatch = "emb"\ninit = "orthogonal"\noptional = true\n'
    with pytest.raises(initctl.FitError, match="orthogonal does not fit"):
        planned(tmp_path, TABLE, recipes=[recipe(tmp_path, text)])


def test_faults_of_several_rules_and_tensors_are_told_together(tmp_path: Path):
    path = checkpoint_of(tmp_path, TABLE)
    with pytest.raises(initctl.FitError) as raised:
        initctl.plan(path, rules=["emb=normal:std=layer", "scale=constant:val=shape[0]", "nothing=zeros"])
    assert len(raised.value.problems) == 3
    assert {p.message.partition(" ")[2].partition(" ")[0] for p in raised.value.problems} == {"1", "2", "3"}


def test_a_condition_and_rows_know_fans_as_the_rule_says_that_the_weight_lies(tmp_path: Path):
    text = '[[rule]]\nmatch = "w[fan_in - 8:]"\nwhere = "fan_in == 10"\ninit = "kaiming_normal"\nlayout = "io"\n'
    plan = planned(tmp_path, {"w": ("F32", [10, 6])}, recipes=[recipe(tmp_path, text)])
    (action,) = plan.actions
    assert action.rows == (2, 10)
    assert action.derived["fan_in"] == 10


def test_a_checkpoint_that_rules_copy_from_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "other").mkdir()
    other = checkpoint_of(tmp_path / "other", TABLE)
    read = []
    monkeypatch.setattr(surroundings, "read_checkpoint", lambda path: read.append(path) or read_checkpoint(path))
    plan = planned(tmp_path, TABLE, *(f"{name}=copy:from={other}#{name}" for name in TABLE))
    assert len(plan.actions) == len(TABLE)
    assert read == [str(other)]
