"""The root: where in a saved object the state dict sits, and what its tensors are called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

import initctl
from initctl.formats.state_dicts.roots import KEYS

if TYPE_CHECKING:
    from pathlib import Path

    from initctl.formats import Checkpoint


def weights(*names: str) -> dict[str, torch.Tensor]:
    return {name: torch.ones(2) for name in names or ("fc.weight", "fc.bias")}


def read(folder: Path, value: Any, **options: Any) -> Checkpoint:
    torch.save(value, folder / "in.pt")
    return initctl.inspect(folder / "in.pt", **options)


def inside(checkpoint: Checkpoint) -> list[str]:
    return [tensor.name for tensor in checkpoint.tensors]


def outside(checkpoint: Checkpoint) -> list[str]:
    return [tensor.name for tensor in checkpoint.outside]


def codes(checkpoint: Checkpoint) -> list[str]:
    return [warning.code for warning in checkpoint.warnings]


def refusal(folder: Path, rule: str, **options: Any) -> str:
    with pytest.raises(initctl.FitError) as raised:
        initctl.plan(folder / "in.pt", rules=[rule], **options)
    (problem,) = raised.value.problems
    return str(problem)


def test_a_state_dict_itself_has_no_root(tmp_path: Path):
    for value in (weights(), nn.Linear(2, 3).state_dict(), {"fc": weights("weight", "bias")}):
        found = read(tmp_path, value)
        assert (found.root, outside(found), found.warnings) == ("", [], ())
    assert inside(found) == ["fc.weight", "fc.bias"]


@pytest.mark.parametrize("key", KEYS)
def test_a_key_of_training_frameworks_is_the_root(tmp_path: Path, key: str):
    found = read(tmp_path, {"epoch": 3, key: weights(), "optimizer": {"state": {0: weights("exp_avg")}}})
    assert (found.root, inside(found), found.warnings) == (key, ["fc.weight", "fc.bias"], ())
    assert outside(found) == ["optimizer.state.0.exp_avg"]


def test_a_tensor_that_is_called_like_a_root_is_none(tmp_path: Path):
    found = read(tmp_path, {"weights": torch.ones(2), "params": torch.ones(2)})
    assert (found.root, inside(found)) == ("", ["weights", "params"])


def test_a_text_with_dots_is_no_way_down(tmp_path: Path):
    found = read(tmp_path, {"model.fc.weight": torch.ones(2), "model.fc.bias": torch.ones(2)})
    assert (found.root, inside(found)) == ("", ["model.fc.weight", "model.fc.bias"])


@pytest.mark.parametrize(("value", "root"), [
    ({"model": {"state_dict": weights()}, "step": 1}, "model.state_dict"),
    ({"state_dict": {"model": weights(), "epoch": 1}}, "state_dict.model"),
    ({"state_dict": {"model": {"module": weights()}}}, "state_dict.model.module"),
    ({"state_dict": {"model": weights(), "head": weights()}}, "state_dict"),
    ({"state_dict": {"generator": weights(), "discriminator": weights()}}, "state_dict"),
    ({"model": {"net": weights(), "optimizer": weights()}}, "model"),
    ([weights(), weights()], ""),
])  # fmt: skip
def test_a_root_within_a_root_is_taken_where_it_holds_all(tmp_path: Path, value: Any, root: str):
    assert read(tmp_path, value).root == root


def test_a_module_within_the_state_dict_is_a_part_of_names(tmp_path: Path):
    """Lightning's `state_dict` holds names that begin with `model.`; these stay."""
    found = read(tmp_path, {"state_dict": weights("model.fc.weight", "model.fc.bias"), "epoch": 1})
    assert (found.root, inside(found)) == ("state_dict", ["model.fc.weight", "model.fc.bias"])


def test_where_there_are_several_the_first_is_taken_with_a_warning(tmp_path: Path):
    found = read(tmp_path, {"params": weights("a"), "params_ema": weights("b"), "state_dict": weights("c")})
    assert (found.root, inside(found), outside(found)) == ("state_dict", ["c"], ["params.a", "params_ema.b"])
    assert codes(found) == ["root.several"]
    told = str(found.warnings[0])
    assert told.endswith("in.pt: contains several state dicts; using state_dict, not params, params_ema; "
                         "use --root to choose another")  # fmt: skip


@pytest.mark.parametrize("root", ["params_ema", "params", "a.b", "a"])
def test_a_root_that_is_given_is_taken_without_a_warning(tmp_path: Path, root: str):
    value = {"params": weights("x"), "params_ema": weights("x"), "a": {"b": weights("x")}}
    found = read(tmp_path, value, root=root)
    assert (found.root, inside(found), found.warnings) == (root, ["b.x"] if root == "a" else ["x"], ())
    assert len(outside(found)) == 2


def test_the_empty_root_takes_everything_under_whole_names(tmp_path: Path):
    found = read(tmp_path, {"model": weights("w"), "optimizer": {"state": {0: weights("exp_avg")}}}, root="")
    assert (found.root, inside(found)) == ("", ["model.w", "optimizer.state.0.exp_avg"])
    assert (outside(found), found.warnings) == ([], ())


def test_a_root_may_lead_through_lists_and_names_with_dots(tmp_path: Path):
    value = {"models": [weights("a"), weights("b")], "x.y": weights("c")}
    assert inside(read(tmp_path, value, root="models.1")) == ["b"]
    assert inside(read(tmp_path, value, root="x.y")) == ["c"]


@pytest.mark.parametrize("root", ["mod", "model.w", "model.", ".model", ".", "Model", " model", "x\n::error::"])
def test_a_root_where_nothing_lies_is_an_error_that_says_where_tensors_lie(tmp_path: Path, root: str):
    with pytest.raises(initctl.UsageError) as raised:
        read(tmp_path, {"model": weights("w"), "ema": weights("w")}, root=root)
    (problem,) = raised.value.problems
    assert problem.code == "root.missing"
    assert problem.hint == "there are tensors under model, ema"
    assert str(problem).isprintable()
    assert "\n" not in str(problem)


def test_a_root_where_names_have_no_dots_says_so(tmp_path: Path):
    with pytest.raises(initctl.UsageError, match="remove `root`: names of tensors have no dots"):
        read(tmp_path, weights("w", "v"), root="model")


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
@pytest.mark.parametrize("key", [None, "model"])
def test_wrappers_prefixes_are_no_part_of_names_below_the_root(tmp_path: Path, prefix: str, key: str | None):
    names = weights(f"{prefix}fc.weight", f"{prefix}fc.bias")
    value = {key: names, "ema": weights("fc.weight")} if key else names
    assert inside(read(tmp_path, value)) == ["fc.weight", "fc.bias"]
    plain = {"fc.weight": torch.zeros(2), "fc.bias": torch.zeros(2)}
    torch.save(plain, tmp_path / "plain.pt")
    for source in ("in", "plain"):
        initctl.apply(tmp_path / f"{source}.pt", tmp_path / f"{source}.out.pt", rules=["fc.*=normal"])
    filled = torch.load(tmp_path / "in.out.pt")
    filled = filled[key] if key else filled
    expected = torch.load(tmp_path / "plain.out.pt")
    assert {name.removeprefix(prefix): t.tolist() for name, t in filled.items()} == {
        name: t.tolist() for name, t in expected.items()
    }


def test_a_prefix_that_one_name_lacks_stays(tmp_path: Path):
    found = read(tmp_path, {"model": weights("module.a", "b"), "ema": weights("module.c")})
    assert (inside(found), outside(found)) == (["module.a", "b"], ["ema.module.c"])


def test_tensors_of_one_name_are_closed_to_rules_and_others_are_not(tmp_path: Path):
    found = read(tmp_path, {"model": {"a": {"b": torch.ones(2)}, "a.b": torch.ones(3), "c": torch.ones(2)}})
    assert inside(found) == ["a.b", "a.b", "c"]
    assert "another tensor has the same name" in refusal(tmp_path, "a.b=zeros")
    initctl.apply(tmp_path / "in.pt", tmp_path / "out.pt", rules=["*=zeros"])
    after = torch.load(tmp_path / "out.pt")["model"]
    assert (after["a"]["b"].tolist(), after["a.b"].tolist(), after["c"].tolist()) == ([1, 1], [1, 1, 1], [0, 0])


def test_an_integer_and_its_text_are_one_name(tmp_path: Path):
    found = read(tmp_path, {"model": {0: torch.ones(2), "0": torch.ones(2), True: torch.ones(2)}})
    assert inside(found) == ["0", "0", "<bool>"]
    assert all(tensor.unwritable for tensor in found.tensors)


def test_a_rule_that_matches_only_outside_of_the_root_says_so(tmp_path: Path):
    read(tmp_path, {"model": weights("w"), "ema": weights("w", "v")})
    told = refusal(tmp_path, "ema.v=zeros", root="model")
    assert "matches no tensor of the state dict at model; ema.v is outside of it; add --root '' to reach all" in told
    initctl.plan(tmp_path / "in.pt", rules=["ema.v=zeros"], root="")
    assert "outside" not in refusal(tmp_path, "v=zeros", root="model")


def test_values_follow_from_the_name_below_the_root(tmp_path: Path):
    read(tmp_path, {"model": weights("w"), "ema": weights("w")})
    for root in ("model", "ema"):
        initctl.apply(tmp_path / "in.pt", tmp_path / f"{root}.pt", rules=["w=normal"], root=root)
    one, other = torch.load(tmp_path / "model.pt"), torch.load(tmp_path / "ema.pt")
    assert torch.equal(one["model"]["w"], other["ema"]["w"])
    assert torch.equal(one["ema"]["w"], torch.ones(2))


STATE = {"body.0.weight": (4, 4), "body.0.bias": (4,), "head.weight": (2, 4)}


def model(prefix: str = "") -> dict[str, torch.Tensor]:
    return {prefix + name: torch.rand(shape) for name, shape in STATE.items()}


def moments() -> dict[str, Any]:
    """What AdamW keeps, as torch saves it."""
    state = {n: {"step": torch.tensor(1.0), "exp_avg": torch.zeros(s)} for n, s in enumerate(STATE.values())}
    return {"state": state, "param_groups": [{"lr": 0.1, "params": [0, 1, 2]}]}


@pytest.mark.parametrize("key", [
    "weight", "network_weights", "teacher", "best_model", "net_state_dict", "encoder_state_dict", "policy", "backbone",
    "model_weights", "G", "whatever",
])  # fmt: skip
@pytest.mark.parametrize("beside", [{}, {"epoch": 3}, {"optimizer_state": moments()}])
def test_the_only_key_that_holds_tensors_is_the_root(tmp_path: Path, key: str, beside: dict[str, Any]):
    """nnU-Net saves `network_weights`, kohya `weight`, DINO's releases `teacher`."""
    found = read(tmp_path, {key: model(), **beside})
    assert (found.root, inside(found)) == (key, list(STATE))
    assert all(name.startswith("optimizer_state.") for name in outside(found))


@pytest.mark.parametrize(("value", "root"), [
    ({"state": {"model": model(), "optimizer": moments()}}, "state.model"),
    ({"state": {"network": model(), "step": 1}}, "state.network"),
    ({"checkpoint": {"my_net": model(), "optim": moments()}, "args": None}, "checkpoint.my_net"),
    ({"trainer": {"model": {"module": model()}}}, "trainer.model.module"),
])  # fmt: skip
def test_a_root_below_a_key_that_is_not_known_is_found(tmp_path: Path, value: Any, root: str):
    found = read(tmp_path, value)
    assert (found.root, inside(found)) == (root, list(STATE))


def test_a_root_has_at_most_ten_keys(tmp_path: Path):
    keys = [f"k{number}" for number in range(12)]
    value: dict[str, Any] = model()
    for key in reversed(keys):
        value = {key: value}
    found = read(tmp_path, value)
    assert (found.root, inside(found)) == (".".join(keys[:10]), [f"k10.k11.{name}" for name in STATE])


@pytest.mark.parametrize("value", [
    {"actor": model(), "critic": model()["body.0.weight"].unbind()},
    {"actor": model(), "log_alpha": torch.zeros(1)},
    {"fc": weights("weight", "bias")},
    {"weight": torch.ones(2), "model": torch.ones(2)},
    {"weight.0.bias": torch.ones(2)},
    {"weight": weights("q", "k"), "bias": weights("q", "k")},
    [model()],
    {3: model()},
])  # fmt: skip
def test_names_of_a_plain_state_dict_stay_whole(tmp_path: Path, value: Any):
    """Several keys hold tensors, or the only one is a module's name."""
    found = read(tmp_path, value)
    assert (found.root, outside(found)) == ("", [])


@pytest.mark.parametrize("value", [
    {"model": {"weight": model()}},
    {"state_dict": {"teacher": model()}},
    {"ema": {"whatever": model()}},
])  # fmt: skip
def test_a_key_that_is_not_known_is_no_root_below_one_that_is(tmp_path: Path, value: Any):
    found = read(tmp_path, value)
    assert found.root == next(iter(value))


def test_a_module_that_was_saved_whole_keeps_its_names(tmp_path: Path):
    module = nn.ModuleDict({"weight": nn.Linear(2, 2), "model": nn.Linear(2, 2)})
    found = read(tmp_path, module)
    assert (found.root, inside(found)[0]) == ("", "weight.weight")
    assert read(tmp_path, module.state_dict()).root == ""


@pytest.mark.parametrize(("value", "told"), [
    ({"g": model(), "d": weights("x.weight"), "g_ema": model()}, "using g_ema, not g;"),
    ({"model": model(), "target_network": model()}, "using model, not target_network;"),
    ({"state_dict": model("net."), "callbacks": {"EMA": {"copy": model("net.")}}}, "not callbacks.EMA.copy;"),
    ({"model": model("module."), "swa": model()}, "using model, not swa;"),
    ({"model": model(), "swa": model("module.")}, "using model, not swa;"),
    ({"model": model(), "best": {"state": model()}}, "using model, not best.state;"),
    ({"model": model(), "averaged": {"moving": list(model().values())}}, "not averaged.moving;"),
    ({"model": model(), "averaged": [torch.ones(4, 4), torch.ones(2, 4)]}, "using model, not averaged;"),
])  # fmt: skip
def test_a_state_dict_with_the_same_names_is_warned_of_under_any_key(tmp_path: Path, value: Any, told: str):
    """StyleGAN2's `g_ema`, a target network, averages of Lightning's callbacks, lists of averaged parameters."""
    (warning,) = read(tmp_path, value).warnings
    assert f"in.pt: contains several state dicts; using {value_root(value)}, not " in str(warning)
    assert told in str(warning)
    assert str(warning).endswith("; use --root to choose another")


def value_root(value: dict[str, Any]) -> str:
    return next(key for key in value if key in KEYS)


@pytest.mark.parametrize("beside", [
    {"optimizer": {"exp_avg": model()}},
    {"optim_state": {"exp_avg": model(), "exp_avg_sq": model()}},
    {"optimizer": moments()},
    {"discriminator_2": weights("x.weight", "x.bias")},
    {"masks": {name: torch.ones(1) for name in STATE}},
    {"history": [torch.ones(1), torch.ones(1)]},
    {"stats": {"head.weight": torch.ones(2, 4)}},
])  # fmt: skip
def test_what_only_looks_like_a_copy_is_not_warned_of(tmp_path: Path, beside: dict[str, Any]):
    """Moments, another network, tensors of other shapes, a few of many."""
    found = read(tmp_path, {"model": model(), **beside})
    assert (found.root, found.warnings) == ("model", ())


def test_a_root_that_is_given_is_not_doubted_for_its_copies(tmp_path: Path):
    value = {"g": model(), "g_ema": model()}
    assert read(tmp_path, value, root="g").warnings == ()
