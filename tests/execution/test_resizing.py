"""Tensors get other sizes: what stays keeps its bytes, and the files are what the library writes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file, save_model

import initctl
from tests.commit.folders import contents
from tests.execution.checkpoints import sharded, single

if TYPE_CHECKING:
    from pathlib import Path

INDEX = "model.safetensors.index.json"


def saved(path: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str] | None = None) -> Path:
    save_file(tensors, path, metadata=metadata)
    return path


def numbered(dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    """Tensors whose elements differ."""
    tensors = {"emb.weight": (6, 3), "fc.bias": (5,), "fc.weight": (5, 4), "z": (2, 2)}
    return {name: torch.randn(shape).to(dtype) for name, shape in tensors.items()} | {"steps": torch.tensor([7])}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64, torch.complex64], ids=str)
@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_the_file_is_what_the_library_writes(tmp_path: Path, dtype: torch.dtype, metadata: dict[str, str] | None):
    tensors = numbered(dtype)
    before, after = saved(tmp_path / "in.safetensors", tensors, metadata), tmp_path / "out.safetensors"
    rules = ["emb.weight[6:]=ones", "fc.*=zeros", "fc.*[:3]=keep"]
    initctl.apply(before, after, rows={"emb.weight": 9, "fc.*": 4}, rules=rules)
    tensors["emb.weight"] = torch.cat([tensors["emb.weight"], torch.ones(3, 3, dtype=dtype)])
    for name in ("fc.weight", "fc.bias"):
        tensors[name] = torch.cat([tensors[name][:3], torch.zeros_like(tensors[name][:1])])
    assert after.read_bytes() == saved(tmp_path / "wanted.safetensors", tensors, metadata).read_bytes()


def test_new_rows_get_the_values_of_the_larger_tensor(tmp_path: Path):
    before = saved(tmp_path / "in.safetensors", numbered())
    large = numbered()
    large["fc.weight"] = torch.zeros(9, 4)
    rules = ["fc.weight[5:]=normal:std=0.5"]
    initctl.apply(before, tmp_path / "grown.safetensors", rows={"fc.weight": 9}, rules=rules, seed=3)
    initctl.apply(saved(tmp_path / "large.safetensors", large), tmp_path / "filled.safetensors", rules=rules, seed=3)
    grown, filled = (load_file(tmp_path / f"{name}.safetensors")["fc.weight"] for name in ("grown", "filled"))
    assert torch.equal(grown[5:], filled[5:])


def test_fewer_rows_need_no_rule_and_the_first_ones_stay(tmp_path: Path):
    tensors = numbered()
    after = tmp_path / "out.safetensors"
    initctl.apply(saved(tmp_path / "in.safetensors", tensors), after, rows={"{emb,fc}.weight": 2})
    found = load_file(after)
    assert torch.equal(found["emb.weight"], tensors["emb.weight"][:2])
    assert torch.equal(found["fc.weight"], tensors["fc.weight"][:2])


def test_the_same_number_of_rows_changes_nothing(tmp_path: Path):
    before, after = single(tmp_path / "in.safetensors"), tmp_path / "out.safetensors"
    assert initctl.plan(before, rows={"embed.weight": 50}).checkpoint.resized == ()
    initctl.apply(before, after, rows={"embed.weight": "pad:25"})
    assert after.read_bytes() == before.read_bytes()


def test_padding_rounds_up(tmp_path: Path):
    before = single(tmp_path / "in.safetensors")
    plan = initctl.plan(before, rows={"embed.weight": "pad:64"}, rules=["embed.weight[50:]=zeros"])
    assert [tensor.shape for tensor in plan.checkpoint.resized] == [(64, 8)]


def test_other_dims_lose_all_values(tmp_path: Path):
    before, after = single(tmp_path / "in.safetensors"), tmp_path / "out.safetensors"
    dims = {"embed.weight": [4, 2, 3], "norm.weight": "7"}
    initctl.apply(before, after, dims=dims, rules=["{embed,norm}.weight=ones"])
    found = load_file(after)
    assert torch.equal(found["embed.weight"], torch.ones(4, 2, 3))
    assert torch.equal(found["norm.weight"], torch.ones(7))
    with pytest.raises(initctl.FitError, match=r"no rule fills embed\.weight"):
        initctl.plan(before, dims={"embed.weight": [50, 8]}, rules=["embed.weight[:49]=ones"])


def test_only_shards_with_such_a_tensor_and_the_index_change(tmp_path: Path):
    before = sharded(tmp_path / "in")
    initctl.apply(before, tmp_path / "out", rows={"embed.weight": 60}, rules=["embed.weight[50:]=ones"])
    old, new = contents(before), contents(tmp_path / "out")
    assert {name for name in old if old[name] != new[name]} == {"model-1.safetensors", INDEX}
    assert old.keys() == new.keys()
    index = json.loads(old[INDEX])
    index["metadata"]["total_size"] += 10 * 8 * 4
    assert new[INDEX].decode() == json.dumps(index)


def test_metadata_keeps_its_order_and_permissions_stay(tmp_path: Path):
    before, after = single(tmp_path / "in.safetensors"), tmp_path / "out.safetensors"
    before.chmod(0o640)
    initctl.apply(before, after, rows={"norm.weight": 3})

    def metadata(path: Path) -> str:
        content = path.read_bytes()
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        return json.dumps(header["__metadata__"])

    assert metadata(after) == metadata(before)
    assert after.stat().st_mode & 0o777 == 0o640


def test_in_place_several_files_change_at_once_and_the_others_stay_the_same_files(tmp_path: Path):
    folder = sharded(tmp_path / "model")
    expected = tmp_path / "expected"
    asked: Any = {
        "rows": {"{embed,layers.1}.weight": 60},
        "rules": ["*.weight[:]=ones where shape[0] == 60"],
        "set_config": {"model_type": "more"},
    }
    initctl.apply(folder, expected, **asked)
    inodes = {path.name: path.stat().st_ino for path in folder.iterdir()}
    initctl.apply(folder, in_place=True, **asked)
    assert contents(folder) == contents(expected)
    changed = {path.name for path in folder.iterdir() if path.stat().st_ino != inodes[path.name]}
    assert changed - {"extra"} == {"model-1.safetensors", "model-2.safetensors", INDEX, "config.json"}
    assert (folder / "config.json").read_text() == '{"model_type": "more"}'
    assert (folder / "config.json").stat().st_mode & 0o777 == 0o604


def test_in_place_a_single_file_is_replaced(tmp_path: Path):
    file = single(tmp_path / "model.safetensors")
    initctl.apply(file, in_place=True, rows={"embed.weight": 3})
    assert load_file(file)["embed.weight"].shape == (3, 8)


def test_names_with_the_prefix_of_a_wrapper_keep_it(tmp_path: Path):
    tensors = {f"module.{name}": tensor for name, tensor in numbered().items()}
    before, after = saved(tmp_path / "in.safetensors", tensors), tmp_path / "out.safetensors"
    initctl.apply(before, after, rows={"fc.weight": 6}, rules=["fc.weight[5:]=ones"])
    tensors["module.fc.weight"] = torch.cat([tensors["module.fc.weight"], torch.ones(1, 4)])
    assert after.read_bytes() == saved(tmp_path / "wanted.safetensors", tensors).read_bytes()


def test_tensors_outside_of_the_root_are_moved(tmp_path: Path):
    tensors = {f"{root}.{name}": tensor for root in ("a", "b") for name, tensor in numbered().items()}
    before, after = saved(tmp_path / "in.safetensors", tensors), tmp_path / "out.safetensors"
    initctl.apply(before, after, root="b", rows={"fc.weight": 6}, rules=["fc.weight[5:]=ones"])
    tensors["b.fc.weight"] = torch.cat([tensors["b.fc.weight"], torch.ones(1, 4)])
    assert after.read_bytes() == saved(tmp_path / "wanted.safetensors", tensors).read_bytes()


def test_a_tie_that_metadata_notes_stays(tmp_path: Path):
    model = torch.nn.ModuleDict({"emb": torch.nn.Embedding(5, 3), "head": torch.nn.Linear(3, 5, bias=False)})
    model["head"].weight = model["emb"].weight
    save_model(model, str(tmp_path / "in.safetensors"))
    initctl.apply(tmp_path / "in.safetensors", tmp_path / "out.safetensors", rows={"emb.weight": 4})
    (tensor,) = initctl.inspect(tmp_path / "out.safetensors").tensors
    assert (tensor.name, tensor.aliases, tensor.shape) == ("emb.weight", ("head.weight",), (4, 3))
    with pytest.raises(initctl.FitError, match=r"head\.weight is tied to emb\.weight, which the file holds instead"):
        initctl.plan(tmp_path / "in.safetensors", rows={"head.weight": 4})


def test_empty_and_odd_tensors_beside_it_are_moved(tmp_path: Path):
    tensors = numbered() | {"empty": torch.empty(0, 4), "none": torch.empty(3, 0), "scalar": torch.tensor(2.0)}
    tensors |= {"flags": torch.ones(3, dtype=torch.bool), "eight": torch.ones(3, 5).to(torch.float8_e5m2)}
    before, after = saved(tmp_path / "in.safetensors", tensors), tmp_path / "out.safetensors"
    rows = {"fc.weight": 6, "none": 4, "empty": 2}
    initctl.apply(before, after, rows=rows, rules=["fc.weight[5:]=ones", "empty=ones"])
    tensors["fc.weight"] = torch.cat([tensors["fc.weight"], torch.ones(1, 4)])
    tensors |= {"empty": torch.ones(2, 4), "none": torch.empty(4, 0)}
    assert after.read_bytes() == saved(tmp_path / "wanted.safetensors", tensors).read_bytes()


def test_empty_tensors_at_one_place_are_distinguished_by_their_names(tmp_path: Path):
    tensors = {"e": torch.empty(0, 4), "x.e": torch.empty(0, 4), "w": torch.ones(2)}
    before, after = saved(tmp_path / "in.safetensors", tensors), tmp_path / "out.safetensors"
    initctl.apply(before, after, rows={"x.e": 2}, rules=["x.e=ones"])
    tensors["x.e"] = torch.ones(2, 4)
    assert after.read_bytes() == saved(tmp_path / "wanted.safetensors", tensors).read_bytes()


ON_THE_WAY: Any = {"rows": {"fc.*": 7}, "rules": ["fc.*[5:]=ones"]}


class TestOnTheWay:
    """A conversion gives other sizes too."""

    def wanted(self, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        more = {name: torch.ones_like(tensor[:2]) for name, tensor in tensors.items() if name.startswith("fc.")}
        return tensors | {name: torch.cat([tensors[name], rows]) for name, rows in more.items()}

    def check(self, found: dict[str, torch.Tensor], tensors: dict[str, torch.Tensor]) -> None:
        wanted = self.wanted(tensors)
        assert found.keys() == wanted.keys()
        assert all(torch.equal(found[name], tensor) for name, tensor in wanted.items())

    def test_from_torch_save(self, tmp_path: Path):
        tensors = numbered() | {"fc.weight": torch.randn(4, 5).t()}  # its rows are not in order
        torch.save(tensors, tmp_path / "in.pt")
        with pytest.raises(
            initctl.UsageError, match=r"convert it on the way, with output='out\.safetensors'"
        ) as raised:
            initctl.apply(tmp_path / "in.pt", tmp_path / "out.pt", **ON_THE_WAY)
        assert raised.value.problems[0].code == "output.sizes"
        initctl.apply(tmp_path / "in.pt", tmp_path / "out.safetensors", **ON_THE_WAY)
        self.check(load_file(tmp_path / "out.safetensors"), tensors)
        assert initctl.verify(tmp_path / "in.pt", tmp_path / "out.safetensors", **ON_THE_WAY)

    def test_to_torch_save(self, tmp_path: Path):
        tensors = numbered()
        before = saved(tmp_path / "in.safetensors", tensors)
        initctl.apply(before, tmp_path / "out.pt", **ON_THE_WAY)
        self.check(torch.load(tmp_path / "out.pt", weights_only=True), tensors)
        assert initctl.verify(before, tmp_path / "out.pt", **ON_THE_WAY)

    def test_to_other_shards_with_config(self, tmp_path: Path):
        tensors = numbered()
        (tmp_path / "in").mkdir()
        saved(tmp_path / "in" / "model.safetensors", tensors)
        (tmp_path / "in" / "config.json").write_text('{"num_labels":5, "b": [1]}')
        asked = {**ON_THE_WAY, "set_config": {"num_labels": 7}}
        initctl.apply(tmp_path / "in", tmp_path / "out", max_shard_size="100", **asked)
        files = list((tmp_path / "out").glob("*.safetensors"))
        assert len(files) > 1
        self.check({name: tensor for file in files for name, tensor in load_file(file).items()}, tensors)
        assert (tmp_path / "out" / "config.json").read_text() == '{"num_labels":7, "b": [1]}'
        assert initctl.verify(tmp_path / "in", tmp_path / "out", **asked)
        (tmp_path / "out" / "config.json").write_text('{"num_labels":5, "b": [1]}')
        assert not initctl.verify(tmp_path / "in", tmp_path / "out", **asked)

    def test_tied_tensors_change_together(self, tmp_path: Path):
        weight = torch.randn(5, 3)
        torch.save({"emb.weight": weight, "head.weight": weight}, tmp_path / "in.pt")
        with pytest.raises(initctl.FitError, match=r"are one tensor, but get different sizes: .*\{emb,head\}.weight=7"):
            initctl.plan(tmp_path / "in.pt", rows={"emb.weight": 7}, rules=["emb.weight[5:]=ones"])
        asked: Any = {"rows": {"*.weight": 7}, "rules": ["*.weight[5:]=ones"]}
        initctl.apply(tmp_path / "in.pt", tmp_path / "out.safetensors", **asked)
        (found,) = load_file(tmp_path / "out.safetensors").values()
        assert torch.equal(found, torch.cat([weight, torch.ones(2, 3)]))
        assert initctl.verify(tmp_path / "in.pt", tmp_path / "out.safetensors", **asked)


class TestRefused:
    def test_a_patch(self, tmp_path: Path):
        file = single(tmp_path / "model.safetensors")
        with pytest.raises(initctl.UsageError, match="overwrites bytes in their places, but other sizes move them"):
            initctl.apply(file, in_place="patch", rows={"embed.weight": 3})

    def test_a_patch_with_a_new_config(self, tmp_path: Path):
        folder = sharded(tmp_path / "in")
        with pytest.raises(initctl.UsageError, match=r"cannot change config\.json"):
            initctl.apply(folder, in_place="patch", set_config={"a": 1}, rules=["norm.weight=ones"])

    def test_a_new_config_without_a_directory(self, tmp_path: Path):
        folder = sharded(tmp_path / "in")
        file = single(tmp_path / "model.safetensors")
        (tmp_path / "config.json").write_text("{}")
        for path, out in ((folder, "out.safetensors"), (file, "out.safetensors")):
            with pytest.raises(initctl.UsageError, match=r"is one file, and config\.json is not written with it"):
                initctl.apply(path, tmp_path / out, set_config={"a": 1})

    def test_a_reset_of_an_optimizer(self, tmp_path: Path):
        folder = sharded(tmp_path / "in")
        model = torch.nn.Linear(2, 2)
        optimizer = torch.optim.AdamW(model.parameters())
        model(torch.ones(2)).sum().backward()
        optimizer.step()
        torch.save(optimizer.state_dict(), folder / "optimizer.pt")
        asked: Any = {"rows": {"embed.weight": 60}, "rules": ["embed.weight=ones"]}
        with pytest.raises(initctl.UsageError, match="cannot follow new sizes"):
            initctl.apply(folder, tmp_path / "out", reset_optimizer=True, **asked)
        with pytest.warns(initctl.InitctlWarning, match=r"moments of the old sizes.*load the weights alone"):
            initctl.plan(folder, **asked)

    def test_a_saved_plan_that_cannot_be_written(self, tmp_path: Path):
        torch.save(numbered(), tmp_path / "in.pt")
        plan = initctl.plan(tmp_path / "in.pt", rows={"fc.weight": 2})
        with pytest.raises(initctl.UsageError, match="whole files of safetensors"):
            initctl.apply(plan, tmp_path / "out.pt")
        plan.save(tmp_path / "plan.json")
        initctl.apply(initctl.load_plan(tmp_path / "plan.json"), tmp_path / "out.safetensors")


class TestSavedPlans:
    def test_do_the_same(self, tmp_path: Path):
        folder = sharded(tmp_path / "in")
        asked: Any = {
            "rows": {"embed.weight": 60, "layers.0.*": 4},
            "dims": {"norm.weight": [3, 3]},
            "set_config": {"model_type": "x", "new.key": [1, None]},
            "rules": ["embed.weight[50:]=mean_rows:of=0:50,std=0.1", "norm.weight=normal"],
        }
        plan = initctl.plan(folder, **asked)
        initctl.apply(plan, tmp_path / "one")
        plan.save(tmp_path / "plan.json")
        loaded = initctl.load_plan(tmp_path / "plan.json")
        assert loaded.to_document() == plan.to_document()
        initctl.apply(loaded, tmp_path / "two")
        assert contents(tmp_path / "one") == contents(tmp_path / "two")
        assert initctl.verify(loaded, tmp_path / "two")

    def test_fit_only_the_checkpoint_as_it_was(self, tmp_path: Path):
        folder = sharded(tmp_path / "in")
        initctl.plan(folder, rows={"embed.weight": 60}, rules=["embed.weight[50:]=ones"]).save(tmp_path / "plan.json")
        initctl.apply(folder, in_place=True, rows={"embed.weight": 60}, rules=["embed.weight[50:]=ones"])
        with pytest.raises(initctl.ConflictError, match="is not the checkpoint"):
            initctl.load_plan(tmp_path / "plan.json")
        assert initctl.verify(initctl.load_plan(tmp_path / "plan.json", result=folder))

    def test_after_being_applied_in_place_can_verify_what_is_there(self, tmp_path: Path):
        folder = sharded(tmp_path / "in")
        plan = initctl.plan(folder, rows={"embed.weight": 60}, rules=["embed.weight[50:]=normal"])
        initctl.apply(plan, in_place=True)
        assert initctl.verify(plan)

    @pytest.mark.parametrize(
        "entry",
        [
            {"shapes": {"no": [[3], True]}},
            {"shapes": {"embed.weight": [[-1, 8], True]}},
            {"shapes": {"embed.weight": [[9, 9], True]}},
            {"shapes": 3},
            {"set_config": [[3, 4]]},
        ],
    )
    def test_with_wrong_entries_are_damaged(self, tmp_path: Path, entry: dict[str, Any]):
        from initctl.planning.documents import signed

        folder = sharded(tmp_path / "in")
        document = initctl.plan(folder, rows={"embed.weight": 40}).to_document()
        (tmp_path / "plan.json").write_text(json.dumps(signed({**document, **entry})))
        with pytest.raises(initctl.InputError, match="is damaged"):
            initctl.load_plan(tmp_path / "plan.json")


KILLED = """
import os, signal, sys
import initctl
from initctl.events import Progress

def stop(event):
    if isinstance(event, Progress) and event.done >= int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

initctl.apply(sys.argv[1], in_place=True, rows={"embed.weight": 60}, rules=["*.weight=normal"], on_event=stop)
"""


def test_a_killed_process_leaves_the_old_checkpoint_and_the_next_one_completes(tmp_path: Path):
    folder = sharded(tmp_path / "model")
    before = contents(folder)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(folder), "100"], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert contents(folder) == before
    initctl.apply(folder, in_place=True, rows={"embed.weight": 60}, rules=["*.weight=normal"])
    assert load_file(folder / "model-1.safetensors")["embed.weight"].shape == (60, 8)


def empty_ties(path: Path, *, is_legacy: bool = False) -> Path:
    """A file of torch.save with tied tensors of no rows, and one beside them that is not tied."""
    weight = torch.zeros(0, 4)
    tensors = {"emb.weight": weight, "out.weight": weight, "other.weight": torch.zeros(0, 4), "fc": torch.ones(2, 2)}
    torch.save(tensors, path, _use_new_zipfile_serialization=not is_legacy)
    return path


@pytest.mark.parametrize("is_legacy", [False, True])
def test_tied_tensors_without_elements_stay_tied_if_they_get_some(tmp_path: Path, is_legacy: bool):
    source = empty_ties(tmp_path / "in.pt", is_legacy=is_legacy)
    asked: Any = {"rows": {"*.weight": 3}, "rules": ["*.weight=normal"]}
    initctl.apply(source, tmp_path / "out.safetensors", **asked)
    assert initctl.verify(source, tmp_path / "out.safetensors", **asked)
    assert initctl.inspect(tmp_path / "out.safetensors").by_name.keys() >= {"emb.weight", "out.weight"}
    assert load_file(tmp_path / "out.safetensors").keys() == {"emb.weight", "other.weight", "fc"}


def test_ties_of_tensors_without_elements_count_as_others_do_once_they_get_some(tmp_path: Path):
    source = empty_ties(tmp_path / "in.pt")
    out, rules = tmp_path / "out.safetensors", ["emb.weight=normal"]
    with pytest.raises(initctl.FitError, match=r"emb.weight, out.weight are one tensor, but get different sizes"):
        initctl.apply(source, out, rows={"emb.weight": 3}, rules=rules)
    with pytest.raises(initctl.FitError) as raised:
        initctl.apply(source, out, rows={"{emb,out}.weight": 3}, rules=rules)
    (problem,) = raised.value.problems
    assert "emb.weight, out.weight are one tensor, but rules treat them differently" in problem.message
    assert initctl.apply(source, out, rows={"other.weight": 3}, rules=["other.weight=ones", "emb.weight=ones"])


def test_tensors_without_elements_that_begin_at_the_same_byte_of_safetensors_are_not_tied(tmp_path: Path):
    source = saved(tmp_path / "in.safetensors", {"a": torch.zeros(0, 4), "b": torch.zeros(0, 4)})
    initctl.apply(source, tmp_path / "out.safetensors", rows={"a": 2, "b": 3}, rules=["*=normal"])
    assert {name: tensor.shape for name, tensor in load_file(tmp_path / "out.safetensors").items()} == {
        "a": (2, 4),
        "b": (3, 4),
    }
