"""A manifest says what was done, and a checkpoint can be checked by it alone."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import initctl
from initctl.version import __version__
from tests.execution.checkpoints import SHARDS, raw_bytes, sharded, single
from tests.execution.torch_files import FORMATS, MODES, RULES, network, save
from tests.planning.optimizers.networks import by_adamw
from tests.planning.optimizers.test_copies import megatron
from tests.schemas import schema

if TYPE_CHECKING:
    from pathlib import Path

    from initctl.planning import Plan


def applied(plan: Plan, *output: Path, **options: Any) -> initctl.Manifest:
    changes = initctl.changes(plan, digest=True)
    return initctl.apply(plan, *output, **options).manifest(changes)


def reported(path: Path, plan: Plan, *output: Path, **options: Any) -> initctl.Manifest:
    """What was applied, once more as it is read from the file at `path`, which fits its schema."""
    manifest = applied(plan, *output, **options)
    manifest.save(path)
    document = json.loads(path.read_text())
    schema("report").validate(document)
    assert initctl.load_manifest(path).document == document
    return initctl.load_manifest(path)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_it_says_what_was_done(tmp_path: Path):
    path = single(tmp_path / "m.safetensors")
    plan = initctl.plan(path, rules=["*.weight=normal:std=0.02", "embed.weight[9:]=ones", "*.bias=keep"], seed=7)
    out = tmp_path / "out.safetensors"
    statement = reported(tmp_path / "r.json", plan, out).document
    assert statement["subject"] == [{"name": "out.safetensors", "digest": {"sha256": sha256(out)}}]
    said = statement["predicate"]
    assert (said["initctl"], said["plan"]["seed"], said["engines"]) == (__version__, 7, {"cpu": "numpy"})
    assert said["input"]["files"] == [{"name": "m.safetensors", "size": path.stat().st_size}]
    for tensor in said["tensors"]:
        held = load_file(out)[tensor["name"]]
        assert tensor["digest"]["sha256"] == hashlib.sha256(raw_bytes(held)).hexdigest()
    first, *_, last = said["changes"]
    assert (first["tensor"], first["rows"], first["rule"]) == ("embed.weight", [0, 9], "*.weight=normal:std=0.02")
    assert (first["before"]["mean"], first["before"]["std"]) == (0.5, 0)
    assert first["after"]["std"] == pytest.approx(0.02, rel=0.2)
    assert last["after"]["digest"] in [tensor["digest"] for tensor in said["tensors"]]


def test_it_says_what_computed_on_which_device(tmp_path: Path):
    path = single(tmp_path / "m.safetensors")
    plan = initctl.plan(path, rules=["*.weight=normal"], device="cpu:0")
    said = reported(tmp_path / "r.json", plan, tmp_path / "out.safetensors").document["predicate"]
    assert said["engines"] == {"cpu:0": "torch on cpu:0"}
    assert {action.device for action in plan.actions} == {"cpu:0"}
    assert initctl.load_manifest(tmp_path / "r.json").verify(tmp_path / "out.safetensors")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", FORMATS)
def test_what_was_applied_is_as_it_says_in_every_mode(tmp_path: Path, kind: str, mode: str):
    path = save(tmp_path / "m.pt", network(), kind)
    output = [] if MODES[mode] else [tmp_path / "out.pt"]
    manifest = reported(tmp_path / "r.json", initctl.plan(path, rules=RULES), *output, **MODES[mode])
    found = manifest.verify(output[0] if output else path)
    assert found
    assert (found.tensors, found.files) == (12, 1)


@pytest.mark.parametrize("output", ["out.safetensors", "out/"])
def test_a_conversion_later_changes_no_tensor(tmp_path: Path, output: str):
    path = save(tmp_path / "m.pt", {"model": network(), "step": 3})
    manifest = reported(tmp_path / "r.json", initctl.plan(path, rules=RULES), tmp_path / "first.pt")
    initctl.apply(tmp_path / "first.pt", os.path.join(tmp_path, output))
    found = manifest.verify(os.path.join(tmp_path, output))
    assert (found.holds, found.tensors, found.files) == (True, 12, None)


@pytest.mark.parametrize("output", ["out.safetensors", "out/", "out.bin"])
def test_a_conversion_on_the_way_is_as_it_says(tmp_path: Path, output: str):
    path = save(tmp_path / "m.pt", {"model": network()})
    plan = initctl.plan(path, rules=RULES)
    manifest = reported(tmp_path / "r.json", plan, os.path.join(tmp_path, output))
    assert manifest.verify(os.path.join(tmp_path, output))
    assert set(manifest.attested.tensors) == set(network())


def test_shards_and_the_files_beside_them_are_its_subjects(tmp_path: Path):
    plan = initctl.plan(sharded(tmp_path / "m"), rules=["*.weight=normal"])
    manifest = reported(tmp_path / "r.json", plan, tmp_path / "out")
    others = {"config.json", "empty", "extra/deep/notes.txt", "model.safetensors.index.json"}
    assert set(manifest.attested.files) == {*SHARDS, *others}
    assert manifest.verify(tmp_path / "out")
    initctl.apply(tmp_path / "out", tmp_path / "anew", max_shard_size="1KB")
    found = manifest.verify(tmp_path / "anew")
    assert (found.holds, found.files) == (True, None)


def test_in_place_its_subjects_are_the_shards(tmp_path: Path):
    path = sharded(tmp_path / "m")
    manifest = reported(tmp_path / "m" / "r.json", initctl.plan(path, rules=["norm.weight=ones"]), in_place=True)
    assert set(manifest.attested.files) == set(SHARDS)
    assert manifest.verify(path)


def test_it_says_nothing_of_the_file_that_it_is_written_to(tmp_path: Path):
    path = sharded(tmp_path / "m")
    plan = initctl.plan(path, rules=["norm.weight=ones"])
    reported(path / "r.json", plan, tmp_path / "one")
    plan = initctl.plan(path, rules=["norm.weight=zeros"])
    assert "r.json" in applied(plan, tmp_path / "two").attested.files
    manifest = reported(tmp_path / "two" / "r.json", plan, tmp_path / "two")
    assert "r.json" not in manifest.attested.files
    assert manifest.verify(tmp_path / "two")


def test_a_checkpoint_is_checked_at_the_root_that_the_rules_were_for(tmp_path: Path):
    path = save(tmp_path / "m.pt", {"model": network(), "ema": {"decay": torch.ones(1)}})
    plan = initctl.plan(path, rules=["decay=zeros"], root="ema")
    manifest = reported(tmp_path / "r.json", plan, tmp_path / "out.pt")
    found = manifest.verify(tmp_path / "out.pt")
    assert (found.holds, found.tensors) == (True, 1)


def test_a_component_can_be_checked_in_its_pipeline_and_alone(tmp_path: Path):
    for name in ("unet", "vae"):
        (tmp_path / "m" / name).mkdir(parents=True)
        save_file({"w": torch.zeros(3, 2)}, tmp_path / "m" / name / "diffusion_pytorch_model.safetensors")
    (tmp_path / "m" / "model_index.json").write_text('{"_class_name": "X", "unet": ["x", "Y"], "vae": ["x", "Y"]}')
    plan = initctl.plan(tmp_path / "m", rules=["w=normal"], component="unet")
    manifest = reported(tmp_path / "r.json", plan, tmp_path / "out")
    assert (manifest.verify(tmp_path / "out").holds, manifest.verify(tmp_path / "out").files) == (True, 3)
    assert manifest.verify(tmp_path / "out" / "unet")
    assert not manifest.verify(tmp_path / "out" / "vae")


def test_a_reset_of_an_optimizer_is_among_its_changes(tmp_path: Path):
    *_, path = by_adamw(tmp_path)
    plan = initctl.plan(path, rules=["fc1.weight=normal"], reset_optimizer=True)
    manifest = reported(tmp_path / "r.json", plan, tmp_path / "out.ckpt")
    changed = [change["tensor"] for change in manifest.document["predicate"]["changes"]]
    assert changed[0] == "fc1.weight"
    assert len(changed) == 4
    assert manifest.verify(tmp_path / "out.ckpt")


def test_a_copy_of_a_parameter_in_an_optimizer_has_a_digest_of_its_own(tmp_path: Path):
    plan = initctl.plan(megatron(tmp_path / "m.safetensors"), rules=["head.weight=normal"], reset_optimizer=True)
    manifest = reported(tmp_path / "r.json", plan, tmp_path / "out.safetensors")
    by_name = {change["tensor"]: change["after"]["digest"] for change in manifest.document["predicate"]["changes"]}
    for name, digest in by_name.items():
        held = load_file(tmp_path / "out.safetensors")[name]
        assert digest["sha256"] == hashlib.sha256(raw_bytes(held)).hexdigest()
    assert len(by_name) == 4
    assert manifest.verify(tmp_path / "out.safetensors")


def test_a_tensor_that_is_not_numbers_is_listed_and_the_file_covers_it(tmp_path: Path):
    tensors = {"w": torch.ones(3), "sparse": torch.eye(4).to_sparse(), "meta": torch.empty(5, device="meta")}
    plan = initctl.plan(save(tmp_path / "m.pt", tensors), rules=["w=zeros"])
    manifest = reported(tmp_path / "r.json", plan, tmp_path / "out.pt")
    assert [tensor.digest is None for tensor in manifest.attested.tensors.values()] == [False, True, True]
    assert manifest.verify(tmp_path / "out.pt")


def test_codes_of_a_few_bits_are_hashed_as_they_are_stored(tmp_path: Path):
    codes = torch.arange(6, dtype=torch.uint8).view(torch.float4_e2m1fn_x2)
    save_file(
        {"w": torch.ones(3), "codes": codes, "scale": torch.ones(2).to(torch.float8_e8m0fnu)},
        tmp_path / "m.safetensors",
    )
    plan = initctl.plan(tmp_path / "m.safetensors", rules=["w=zeros", "scale=constant:val=2"])
    manifest = reported(tmp_path / "r.json", plan, tmp_path / "out.safetensors")
    assert manifest.attested.tensors["codes"].digest == hashlib.sha256(bytes(range(6))).hexdigest()
    assert manifest.verify(tmp_path / "out.safetensors")


def test_the_same_work_gives_the_same_bytes(tmp_path: Path):
    path = sharded(tmp_path / "m")
    for name in ("one", "two"):
        plan = initctl.plan(path, rules=["*.weight=normal", "norm.weight=perturb:std=1"])
        applied(plan, tmp_path / "out").save(tmp_path / f"{name}.json")
        shutil.rmtree(tmp_path / "out")
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


def test_a_plan_has_its_digest_wherever_the_checkpoint_is(tmp_path: Path):
    single(tmp_path / "m.safetensors")
    (tmp_path / "deep").mkdir()
    shutil.copy(tmp_path / "m.safetensors", tmp_path / "deep")

    def digest(folder: Path, rule: str) -> str:
        plan = initctl.plan(folder / "m.safetensors", rules=[rule])
        return applied(plan, folder / "out.safetensors").document["predicate"]["plan"]["digest"]["sha256"]

    one, moved, other = (
        digest(tmp_path, "*.bias=ones"), digest(tmp_path / "deep", "*.bias=ones"), digest(tmp_path, "*.bias=zeros"),
    )  # fmt: skip
    assert one == moved != other


def test_a_saved_plan_gives_the_same_manifest(tmp_path: Path):
    plan = initctl.plan(single(tmp_path / "m.safetensors"), rules=["*.weight=normal"])
    plan.save(tmp_path / "plan.json")
    one = applied(plan, tmp_path / "out.safetensors")
    again = applied(initctl.load_plan(tmp_path / "plan.json"), tmp_path / "out.safetensors")
    assert again.document == one.document


def test_what_it_says_of_changes_is_in_its_file_and_not_in_memory(tmp_path: Path):
    """They are nine tenths of it, and checking needs none of them."""
    plan = initctl.plan(single(tmp_path / "m.safetensors"), rules=["*.weight=normal"])
    manifest = reported(tmp_path / "r.json", plan, tmp_path / "out.safetensors")
    assert manifest.document["predicate"]["changes"]
    os.remove(tmp_path / "r.json")
    assert manifest.verify(tmp_path / "out.safetensors")
    with pytest.raises(initctl.InputError, match=r"r\.json: no such file"):
        _ = manifest.document


def test_it_can_be_written_in_other_lines(tmp_path: Path):
    plan = initctl.plan(single(tmp_path / "m.safetensors"), rules=["*.weight=normal"])
    manifest = reported(tmp_path / "r.json", plan, tmp_path / "out.safetensors")
    (tmp_path / "other.json").write_text(json.dumps(manifest.document, indent=1, sort_keys=True))
    assert initctl.load_manifest(tmp_path / "other.json").verify(tmp_path / "out.safetensors")
    initctl.load_manifest(tmp_path / "other.json").save(tmp_path / "again.json")
    assert json.loads((tmp_path / "again.json").read_text()) == manifest.document


@pytest.mark.parametrize("digest", [False, True])
def test_changes_of_another_plan_or_without_digests_are_refused(tmp_path: Path, digest: bool):
    path = single(tmp_path / "m.safetensors")
    plan, other = (initctl.plan(path, rules=["*.weight=ones"]) for _ in "12")
    changes = initctl.changes(other if digest else plan, digest=digest)
    with pytest.raises(initctl.UsageError, match="belong to another plan" if digest else "have no digests"):
        initctl.apply(plan, tmp_path / "out.safetensors").manifest(changes)


class TestChecking:
    """What is no longer as a manifest says is found, and named."""

    @pytest.fixture
    def manifest(self, tmp_path: Path) -> initctl.Manifest:
        plan = initctl.plan(sharded(tmp_path / "m"), rules=["*.weight=normal"])
        return applied(plan, tmp_path / "out")

    def test_a_value(self, manifest: initctl.Manifest, tmp_path: Path):
        path = tmp_path / "out" / "model-1.safetensors"
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
        found = manifest.verify(tmp_path / "out")
        assert not found
        assert found.to_json() == {
            "checkpoint": str(tmp_path / "out"), "report": None, "converted": False, "compared": 7,
            "compared_files": 7,
            "differences": [{"tensor": "layers.0.weight", "fault": "has other values"}],
            "differences_files": [{"file": "model-1.safetensors", "fault": "has other bytes"}],
        }  # fmt: skip

    def test_a_dtype_a_shape_a_name_less_and_one_more(self, manifest: initctl.Manifest, tmp_path: Path):
        path = tmp_path / "out.safetensors"
        initctl.apply(tmp_path / "out", path)
        tensors = load_file(path)
        tensors |= {"norm.weight": tensors["norm.weight"].double(), "steps": tensors["steps"].reshape(1, 1)}
        tensors["more"] = tensors.pop("layers.1.bias")
        save_file(tensors, path)
        assert {(found.tensor, found.fault) for found in manifest.verify(path).differences} == {
            ("norm.weight", "is [8] float64 instead of [8] float32"),
            ("steps", "is [1, 1] int64 instead of [1] int64"),
            ("layers.1.bias", "is missing"),
            ("more", "is new"),
        }

    def test_metadata_and_files_beside(self, manifest: initctl.Manifest, tmp_path: Path):
        (tmp_path / "out" / "config.json").write_text("{}")
        (tmp_path / "out" / "empty").unlink()
        (tmp_path / "out" / "more").touch()
        shard = tmp_path / "out" / "model-3.safetensors"
        save_file(load_file(shard), shard, metadata={"format": "pt"})
        found = manifest.verify(tmp_path / "out")
        assert not found.differences
        assert {(one.file, one.fault) for one in found.file_differences} == {
            ("config.json", "has other bytes"),
            ("empty", "is missing"),
            ("model-3.safetensors", "has other bytes"),
        }

    def test_a_single_file_may_be_renamed(self, tmp_path: Path):
        plan = initctl.plan(single(tmp_path / "m.safetensors"), rules=["*.weight=normal"])
        manifest = applied(plan, tmp_path / "out.safetensors")
        os.rename(tmp_path / "out.safetensors", tmp_path / "best.safetensors")
        found = manifest.verify(tmp_path / "best.safetensors")
        assert (found.holds, found.files) == (True, 1)
        assert not manifest.verify(tmp_path / "m.safetensors")

    def test_one_shard_by_itself_lacks_the_tensors_of_the_others(self, manifest: initctl.Manifest, tmp_path: Path):
        found = manifest.verify(tmp_path / "out" / "model-3.safetensors")
        assert {one.fault for one in found.differences} == {"is missing"}

    def test_one_file_of_a_directory_says_nothing_of_the_others(self, tmp_path: Path):
        (tmp_path / "m").mkdir()
        single(tmp_path / "m" / "model.safetensors")
        (tmp_path / "m" / "config.json").write_text("{}")
        manifest = applied(initctl.plan(tmp_path / "m", rules=["*.weight=normal"]), tmp_path / "out")
        found = manifest.verify(tmp_path / "out" / "model.safetensors")
        assert (found.holds, found.files) == (True, 1)

    def test_it_shows_itself_wherever_it_is_looked_at(self, manifest: initctl.Manifest, tmp_path: Path):
        assert repr(manifest.verify(tmp_path / "out")) == (
            f"{tmp_path / 'out'}: holds what the manifest says\ncompared 7 tensors and 7 files"
        )
        assert "<table>" in manifest.verify(tmp_path / "m")._repr_html_()

    def test_progress_and_threads_are_as_for_apply(self, manifest: initctl.Manifest, tmp_path: Path):
        events: list[Any] = []
        assert manifest.verify(tmp_path / "out", threads=1, on_event=events.append)
        assert events[-1].done == events[-1].total
        with pytest.raises(initctl.UsageError, match="threads"):
            manifest.verify(tmp_path / "out", threads=0)
