"""An optimizer in the file beside the weights: reset there, or refused by name, and never passed over in silence."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn, optim

import initctl
from initctl.formats.beside import beside
from tests.formats.ranks import saved_alone
from tests.planning.optimizers.networks import begun_anew, network, trained

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HEAD = {"rules": ["fc2.weight=constant:val=0.5"], "reset_optimizer": True}


def accelerate(folder: Path, name: str = "optimizer.bin") -> Path:
    """Weights in safetensors, which sorts them by their names, and an optimizer without names."""
    net = network()
    optimizer = optim.AdamW(net.parameters())
    trained(net, optimizer)
    folder.mkdir()
    save_file(net.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})
    torch.save(optimizer.state_dict(), folder / name)
    return folder


def trainer(folder: Path) -> Path:
    """Weights as torch writes them, in the model's order."""
    accelerate(folder, "optimizer.pt")
    net = network()
    net.load_state_dict(load_file(folder / "model.safetensors"))
    torch.save(net.state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return folder


def fsdp(folder: Path) -> Path:
    """A full optimizer state dict, which calls parameters by their names."""
    accelerate(folder)
    held = torch.load(folder / "optimizer.bin")
    names = [name for name, _ in network().named_parameters()]
    state = {names[number]: kept for number, kept in held["state"].items()}
    torch.save({"state": state, "param_groups": [{"params": names}]}, folder / "optimizer.bin")
    return folder


def torchtune(folder: Path) -> Path:
    accelerate(folder)
    (folder / "recipe_state").mkdir()
    held = torch.load(folder / "optimizer.bin")
    torch.save({"optimizer": held, "epoch": 3}, folder / "recipe_state" / "recipe_state.pt")
    (folder / "optimizer.bin").unlink()
    return folder


LAYOUTS: dict[str, tuple[Callable[[Path], Path], str, int | str]] = {
    "accelerate": (accelerate, "optimizer.bin", 4),
    "Trainer": (trainer, "optimizer.pt", 4),
    "accelerate with FSDP": (fsdp, "optimizer.bin", "fc2.weight"),
    "torchtune": (torchtune, "recipe_state/recipe_state.pt", 4),
}


def test_a_link_that_leads_nowhere_is_not_a_folder_of_an_optimizer(tmp_path: Path):
    """The name that the second one leads to is longer than the system takes."""
    folder = accelerate(tmp_path / "model")
    (folder / "optimizer_0").symlink_to("nothing")
    weights = folder / "model.safetensors"
    (folder / "optimizer_1").symlink_to("x" * 300)
    assert [found.name for found in beside(initctl.inspect(weights))] == ["optimizer.bin"]
    (tmp_path / "elsewhere").mkdir()
    (folder / "optimizer_2").symlink_to(tmp_path / "elsewhere")
    assert [found.name for found in beside(initctl.inspect(weights))] == ["optimizer.bin", "optimizer_2/"]


def optimizer_in(path: Path) -> Any:
    held = torch.load(path)
    return held.get("optimizer", held)


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_state_of_what_is_filled_begins_anew_in_the_other_file(tmp_path: Path, layout: str, *, in_place: bool):
    write, file, parameter = LAYOUTS[layout]
    source = write(tmp_path / "ck")
    before = tmp_path / "before"
    shutil.copytree(source, before)
    out = source if in_place else tmp_path / "out"
    done = initctl.apply(source, None if in_place else out, in_place=in_place, **HEAD)
    assert file in done.files
    assert begun_anew(optimizer_in(before / file), optimizer_in(out / file)) == {parameter}
    verified = initctl.verify(before, out, **HEAD)
    assert verified.holds
    assert initctl.verify(out, **HEAD).holds


def test_a_patch_reaches_the_other_file_too(tmp_path: Path):
    source = accelerate(tmp_path / "ck")
    before = torch.load(source / "optimizer.bin")
    initctl.apply(source, in_place="patch", **HEAD)
    assert begun_anew(before, torch.load(source / "optimizer.bin")) == {4}


def test_verify_finds_what_was_not_reset_or_was_changed_besides(tmp_path: Path):
    source, out = accelerate(tmp_path / "ck"), tmp_path / "out"
    initctl.apply(source, out, rules=HEAD["rules"])
    found = initctl.verify(source, out, **HEAD)
    kinds = ("step", "exp_avg", "exp_avg_sq")
    assert [d.tensor for d in found.differences] == [f"optimizer.bin:state.4.{kind}" for kind in kinds]
    initctl.apply(source, out, **HEAD)
    held = torch.load(out / "optimizer.bin")
    held["state"][0]["exp_avg"][1, 1] += 1
    torch.save(held, out / "optimizer.bin")
    (difference,) = initctl.verify(source, out, **HEAD).differences
    assert (difference.tensor, difference.index) == ("optimizer.bin:state.0.exp_avg", (1, 1))
    (out / "optimizer.bin").unlink()
    assert not initctl.verify(source, out, **HEAD).holds


def test_a_saved_plan_knows_of_the_other_file(tmp_path: Path):
    source, out = accelerate(tmp_path / "ck"), tmp_path / "out"
    initctl.plan(source, **HEAD).save(tmp_path / "plan.json")
    initctl.apply(initctl.load_plan(tmp_path / "plan.json", source), out)
    assert begun_anew(torch.load(source / "optimizer.bin"), torch.load(out / "optimizer.bin")) == {4}
    assert initctl.verify(initctl.load_plan(tmp_path / "plan.json", result=out)).holds
    assert initctl.verify(initctl.load_plan(tmp_path / "plan.json", source), out).holds
    torch.save({"state": {}, "param_groups": []}, source / "optimizer.bin")
    with pytest.raises(initctl.ConflictError, match="its tensors or files differ"):
        initctl.apply(initctl.load_plan(tmp_path / "plan.json", source), out)


def warnings(path: Path, *rules: str) -> list[str]:
    plan = initctl.plan(path, rules=rules or ["fc2.weight=zeros"])
    return [str(w) for w in plan.warnings if w.code in ("optimizer.beside", "optimizer.copies")]


def test_without_the_flag_a_warning_names_the_file(tmp_path: Path):
    source = accelerate(tmp_path / "ck")
    (warning,) = warnings(source)
    assert warning == (
        f"{source}/optimizer.bin: holds an optimizer, which keeps the moments of the tensors that are initialized here"
        "; --reset-optimizer resets them if it can match them; or start training with a new optimizer"
    )
    (warning,) = warnings(source / "model.safetensors")
    assert warning.endswith(
        "; --reset-optimizer on the directory resets them if it can match them; or start training with a new optimizer"
    )


@pytest.mark.parametrize(
    "name", ["optimizer_1.bin", "optim.pt", "optimizer.pth", "training_state.pt", "best_optim.ckpt"]
)
def test_a_warning_names_the_files_of_other_trainers(tmp_path: Path, name: str):
    assert name in warnings(accelerate(tmp_path / "ck", name))[0]


def test_nothing_is_said_where_nothing_is_filled_or_remembered(tmp_path: Path):
    source = accelerate(tmp_path / "ck")
    assert warnings(source, "*=keep") == []
    torch.save(optim.AdamW(network().parameters()).state_dict(), source / "optimizer.bin")
    assert warnings(source) == []
    torch.save({"lr": torch.ones(3)}, source / "optimizer.bin")
    assert warnings(source) == []


def test_an_optimizer_beside_one_file_that_has_its_own_is_no_concern_of_it(tmp_path: Path):
    source = accelerate(tmp_path / "ck")
    net = network()
    optimizer = optim.AdamW(net.parameters())
    trained(net, optimizer)
    torch.save({"model": net.state_dict(), "optimizer": optimizer.state_dict()}, source / "last.ckpt")
    assert warnings(source / "last.ckpt") == []
    assert initctl.plan(source / "last.ckpt", **HEAD).reset_totals.tensors == 3


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(initctl.FitError) as raised:
        initctl.plan(path, **(HEAD | options))
    (problem,) = raised.value.problems
    assert problem.code == "optimizer.unmatched"
    return str(problem)


REMOVE = "leave the flag out, remove optimizer.bin from the result, and start training with a new optimizer"


def test_a_single_file_is_not_written_without_its_optimizer(tmp_path: Path):
    source = accelerate(tmp_path / "ck")
    told = refusal(source / "model.safetensors")
    assert f"{source}/optimizer.bin: holds the optimizer, but only {source}/model.safetensors is written" in told
    assert told.endswith(f"; name the directory, {source}, instead of the file")


def test_equal_shapes_cannot_be_matched_where_files_sort_tensors(tmp_path: Path):
    told = refusal(accelerate(tmp_path / "ck"), rules=["norm.bias=zeros"])
    assert "optimizer.bin: its parameters cannot be matched with certainty: " in told
    assert "which of them are the tensors of shape [3]" in told or "does not keep the order of tensors" in told
    assert told.endswith(REMOVE)


def test_a_layer_like_another_cannot_be_matched_where_files_sort_tensors(tmp_path: Path):
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2))
    optimizer = optim.AdamW(net.parameters())
    trained(net, optimizer)
    (tmp_path / "ck").mkdir()
    save_file(net.state_dict(), tmp_path / "ck" / "model.safetensors")
    torch.save(optimizer.state_dict(), tmp_path / "ck" / "optimizer.bin")
    told = refusal(tmp_path / "ck", rules=["1.weight=zeros"])
    assert "several have shape [4, 4], but this kind of file does not keep the order of tensors" in told
    plan = initctl.plan(tmp_path / "ck", rules=["2.*=zeros"], reset_optimizer=True)
    assert {action.tensor.name for action in plan.resets if "exp_avg_sq" in action.tensor.name} == {
        "optimizer.bin:state.4.exp_avg_sq",
        "optimizer.bin:state.5.exp_avg_sq",
    }


@pytest.mark.parametrize("groups", [1, 2])
def test_layers_that_are_alike_are_set_back_where_all_of_them_are_filled_whole(tmp_path: Path, groups: int):
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2))
    parts = [net] if groups == 1 else [net[:1], net[1:]]
    optimizer = optim.AdamW([{"params": part.parameters()} for part in parts])
    trained(net, optimizer)
    (tmp_path / "ck").mkdir()
    save_file(net.state_dict(), tmp_path / "ck" / "model.safetensors")
    torch.save(optimizer.state_dict(), tmp_path / "ck" / "optimizer.bin")
    asked: dict[str, Any] = {"rules": ["{0,1}.weight=normal"], "reset_optimizer": True}
    initctl.apply(tmp_path / "ck", tmp_path / "out", **asked)
    states = (torch.load(folder / "optimizer.bin") for folder in (tmp_path / "ck", tmp_path / "out"))
    assert begun_anew(*states) == {0, 2}
    assert initctl.verify(tmp_path / "ck", tmp_path / "out", **asked).holds
    for rules in (["0.weight=zeros", "1.weight[:2]=zeros"], ["0.weight=zeros"]):
        assert "cannot be matched with certainty" in refusal(tmp_path / "ck", rules=rules)


def test_a_file_that_cannot_be_read_is_refused_by_name(tmp_path: Path):
    source = accelerate(tmp_path / "ck")
    (source / "optimizer.bin").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    told = refusal(source)
    assert told.startswith(f"--reset-optimizer: {source}/optimizer.bin: holds an optimizer in a form that cannot be")
    assert told.endswith(REMOVE)
    assert "optimizer.bin: holds an optimizer, which keeps" in warnings(source)[0]


def test_an_optimizer_in_a_folder_beside_distributed_weights_is_named(tmp_path: Path):
    """As accelerate saves FSDP's sharded state dicts."""
    net = network()
    optimizer = optim.AdamW(net.parameters())
    trained(net, optimizer)
    saved_alone(tmp_path / "pytorch_model_fsdp_0", {"model": net.state_dict()})
    saved_alone(tmp_path / "optimizer_0", {"optimizer": optimizer.state_dict()})
    assert f"{tmp_path}/optimizer_0/: holds an optimizer" in warnings(tmp_path / "pytorch_model_fsdp_0")[0]
    assert "optimizer_0/: holds an optimizer in a form" in refusal(tmp_path / "pytorch_model_fsdp_0")


def test_an_optimizer_in_a_folder_below_is_named_once(tmp_path: Path):
    source = accelerate(tmp_path / "ck")
    (source / "optimizer_0").mkdir()
    for rank in range(3):
        (source / "optimizer_0" / f"__{rank}_0.distcp").write_bytes(b"")
    (source / "optimizer.bin").unlink()
    (warning,) = warnings(source)
    assert warning.startswith(f"{source}/optimizer_0/: holds an optimizer")


def test_of_very_many_files_none_is_passed_over(tmp_path: Path):
    source = accelerate(tmp_path / "ck")
    for number in range(1, 12):
        shutil.copy(source / "optimizer.bin", source / f"optimizer_{number}.bin")
    (warning,) = warnings(source)
    assert "optimizer.bin, " in warning
    assert " and 9 more: hold optimizers" in warning
    with pytest.raises(initctl.FitError, match=r"optimizer_6\.bin: holds an optimizer in a form that"):
        initctl.apply(source, tmp_path / "out", **HEAD)


def test_an_optimizer_in_the_same_file_is_warned_of_as_one_beside_it(tmp_path: Path):
    source = accelerate(tmp_path / "ck")
    net = network()
    optimizer = optim.AdamW(net.parameters())
    trained(net, optimizer)
    torch.save({"model": net.state_dict(), "optimizer": optimizer.state_dict()}, source / "last.ckpt")
    (warning,) = initctl.plan(source / "last.ckpt", rules=["fc2.weight=zeros"]).warnings
    assert warning.code == "optimizer.inside"
    assert str(warning) == (
        f"{source}/last.ckpt: the optimizer at optimizer keeps the moments of the tensors that are initialized here"
        "; --reset-optimizer resets them if it can match them; or start training with a new optimizer"
    )
    assert initctl.plan(source / "last.ckpt", rules=["*=keep"]).warnings == ()
    assert initctl.plan(source / "last.ckpt", **HEAD).warnings == ()
