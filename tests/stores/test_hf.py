"""A repository of the Hugging Face Hub is read as the same files would be, at one commit."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest
import torch
from safetensors.torch import save_file

import initctl
from initctl.errors import ConflictError, InputError, StorageError, UsageError
from initctl.formats.opening import opened, read_at
from initctl.stores.hf import opened as opened_repository
from initctl.stores.mirror import mirrored
from initctl.stores.url import Url
from tests.stores.checkpoints import tensors
from tests.stores.hub import NAME, Fault

BLOCK = 64 << 10
KINDS = ["file", "torch_file", "model"]


@pytest.fixture
def model(tmp_path):
    """What transformers writes: shards, an index and configurations."""
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 6, "vocab_size": 300}
    config = LlamaConfig(**sizes, num_attention_heads=4, num_key_value_heads=4)
    LlamaForCausalLM(config).save_pretrained(tmp_path / "net", max_shard_size="250kB")
    return tmp_path / "net"


@pytest.mark.parametrize("folder", ["", "deep/folder"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_table_is_that_of_the_local_files(kind, folder, request, push):
    path = request.getfixturevalue(kind)
    url = push(path, folder)
    assert initctl.inspect(url).to_json() == initctl.inspect(path).to_json()
    assert initctl.inspect(url).path == url


@pytest.mark.parametrize("kind", KINDS)
def test_values_are_read_from_the_hub(kind, request, push):
    path = request.getfixturevalue(kind)
    url = push(path)
    assert initctl.stats(url).to_json() == initctl.stats(path).to_json()
    assert not initctl.diff(url, path).differ
    assert initctl.verify(initctl.plan(path, rules=["nothing=keep"], allow_unused=True), url)


@pytest.mark.parametrize("kind", KINDS)
def test_apply_from_the_hub_writes_the_bytes_that_it_writes_from_files(kind, request, push, tmp_path):
    path = request.getfixturevalue(kind)
    one, other = tmp_path / "one" / path.name, tmp_path / "other" / path.name
    one.parent.mkdir()
    other.parent.mkdir()
    rule = ["*.0.*=zeros"] if kind == "model" else ["fc.bias=zeros"]
    initctl.apply(path, one, rules=rule)
    initctl.apply(push(path), other, rules=rule)
    files = [file.relative_to(one) for file in one.rglob("*")] if one.is_dir() else [""]
    assert all((one / file).read_bytes() == (other / file).read_bytes() for file in files)


def test_of_shards_only_the_headers_are_fetched_each_once(model, push, hub_server):
    initctl.inspect(push(model))
    shards = [one.path for one in hub_server.asked if one.host == "cdn"]
    assert len(shards) == len({*shards}) == len(list(model.glob("*.safetensors"))) > 3
    assert hub_server.nbytes <= BLOCK * (len(shards) + 2)


def test_headers_of_shards_are_fetched_side_by_side(model, push, hub_server):
    url, count = push(model), len(list(model.glob("*.safetensors")))
    hub_server.gate = threading.Barrier(count, timeout=60)
    assert initctl.inspect(url).tensors


def test_before_headers_the_hub_is_asked_three_times(model, push, hub_server):
    url = push(model)
    mirrored(Url.parse(f"{url}/model.safetensors.index.json"))
    assert [one.path for one in hub_server.asked if "/tree/" not in one.path] == [
        f"/api/models/{NAME}/revision/main" if "@" in url else f"/api/models/{NAME}",
        f"/api/models/{NAME}/paths-info/{hub_server.repositories[f'models/{NAME}'].refs['main']}",
    ]


def test_a_file_is_not_asked_for_again_before_values_are_read(model, push, hub_server, tmp_path):
    plan = initctl.plan(push(model), rules=["*=ones"])
    hub_server.asked.clear()
    initctl.apply(plan, tmp_path / "out")
    assert not hub_server.paths("GET", "/tree/")
    assert not hub_server.paths("POST", "/paths-info/")


def test_a_revision_that_moves_meanwhile_changes_nothing(file, push, tmp_path):
    initctl.apply(file, tmp_path / "expected.safetensors", rules=["fc.bias=zeros"])
    plan = initctl.plan(push(file), rules=["fc.bias=zeros"])
    save_file(tensors(seed=1), file)
    push(file)
    initctl.apply(plan, tmp_path / "out.safetensors")
    assert (tmp_path / "out.safetensors").read_bytes() == (tmp_path / "expected.safetensors").read_bytes()


def test_a_url_that_is_named_again_shows_what_is_there_by_now(file, push, tmp_path):
    url = push(file)
    plan = initctl.plan(url, rules=["fc.bias=zeros"])
    save_file({"other": torch.ones(2)}, file)
    push(file)
    assert [tensor.name for tensor in initctl.inspect(url).tensors] == ["other"]
    with pytest.raises(ConflictError, match="changed"):
        initctl.apply(plan, tmp_path / "out.safetensors")


def test_a_commit_with_other_files_leaves_a_plan_as_it_is(file, push, tmp_path):
    url = push(file)
    plan = initctl.plan(url, rules=["fc.bias=zeros"])
    (tmp_path / "README.md").write_text("# A model")
    push(tmp_path / "README.md")
    assert len(initctl.inspect(url).tensors) == 3
    initctl.apply(plan, tmp_path / "out.safetensors")


@pytest.mark.parametrize("revision", ["old", "a%2Fb", "refs/pr/3"])
def test_a_revision_is_read_at_its_commit(revision, file, push, hub_server):
    branch = revision.replace("%2F", "/")
    push(file, branch=branch)
    save_file({"other": torch.ones(2)}, file)
    push(file)
    repository = hub_server.repositories[f"models/{NAME}"]
    for named in (revision, repository.refs[branch]):
        assert len(initctl.inspect(f"hf://{NAME}@{named}/model.safetensors").tensors) == 3
    assert len(initctl.inspect(f"hf://{NAME}/model.safetensors").tensors) == 1


@pytest.mark.parametrize(
    "url",
    [
        "hf://org/name",
        "hf://org/name@v1/unet/a.bin",
        "hf://models/org/name@refs/pr/3/a.bin",
        "hf://datasets/org/name@refs/convert/parquet",
        "hf://spaces/org/name@a%2Fb/c",
        "hf://org/name/file@2.bin",
    ],
)
def test_urls_mean_what_they_mean_to_huggingface_hub(url):
    from huggingface_hub.utils import parse_hf_uri

    expected, (_, bucket, key) = parse_hf_uri(url), Url.parse(url)
    found = opened_repository(bucket)
    assert (found.kind, found.name, found.revision) == (expected.type, expected.id, expected.revision)
    assert key == expected.path_in_repo


@pytest.mark.parametrize("kind", ["models", "datasets", "spaces"])
def test_each_kind_of_repository_is_read(kind, file, push):
    push(file, kind=kind)
    assert len(initctl.inspect(f"hf://{kind}/{NAME}/model.safetensors").tensors) == 3


def test_a_saved_plan_fits_later_commits_with_the_same_weights(file, push, tmp_path):
    url = push(file)
    initctl.plan(url, rules=["fc.bias=zeros"]).save(tmp_path / "plan.json")
    (tmp_path / "README.md").write_text("# A model")
    push(tmp_path / "README.md")
    initctl.apply(initctl.load_plan(tmp_path / "plan.json"), tmp_path / "out.safetensors")
    save_file({"other": torch.ones(2)}, file)
    push(file)
    with pytest.raises(ConflictError, match="is not the checkpoint that"):
        initctl.load_plan(tmp_path / "plan.json")


def test_components_of_a_repository_are_read_wherever_those_of_a_directory_are(file, push, tmp_path):
    for folder in ("unet", "vae"):
        (tmp_path / "pipeline" / folder).mkdir(parents=True)
        save_file(tensors(), tmp_path / "pipeline" / folder / "model.safetensors")
    url = push(tmp_path / "pipeline")
    initctl.plan(url, component="vae", rules=["fc.bias=zeros"]).save(tmp_path / "plan.json")
    plan = initctl.load_plan(tmp_path / "plan.json")
    assert plan.rows() == initctl.plan(tmp_path / "pipeline", component="vae", rules=["fc.bias=zeros"]).rows()
    initctl.apply(plan, tmp_path / "out")
    push(tmp_path / "out", "result")
    assert initctl.verify(plan, f"{url}/result")
    assert not initctl.diff(url, file, component="vae").differ


def test_the_token_is_sent_to_the_hub_only(model, push, hub_server):
    initctl.stats(push(model))
    assert {one.token for one in hub_server.asked if one.host == "hub"} == {"Bearer hf_canarytoken"}
    assert {one.token for one in hub_server.asked if one.host == "cdn"} == {None}


def test_a_private_repository_is_read_with_the_login_of_hf(file, push, hub_server, monkeypatch, tmp_path):
    url = push(file)
    hub_server.repositories[f"models/{NAME}"].is_private = True
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(InputError, match=r"does not exist, or is private.* hf auth login"):
        initctl.inspect(url)
    (tmp_path / "hf-home").mkdir()
    (tmp_path / "hf-home" / "token").write_text("hf_canarytoken")
    assert len(initctl.inspect(url).tensors) == 3


REFUSALS = {
    "missing": (f"hf://{NAME}-2/model.safetensors", InputError, "store.denied", "does not exist, or is private"),
    "revision": (f"hf://{NAME}@none/model.safetensors", InputError, "file.missing", "no such revision"),
    "file": (f"hf://{NAME}/none.safetensors", InputError, "file.missing", "no object has this name"),
    "folder": (f"hf://{NAME}/none/none", InputError, "file.missing", "no object has this name"),
    "name": ("hf://org/na--me/x", UsageError, "usage.url", "the Hub allows no such name"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_is_not_there_is_said_plainly(case, file, push):
    push(file)
    url, error, code, says = REFUSALS[case]
    with pytest.raises(error, match=says) as refused:
        initctl.inspect(url)
    assert refused.value.problems[0].code == code
    assert "canary" not in str(refused.value)


ANSWERS = {
    "token": (401, "", InputError, "store.denied", "does not exist, or is private"),
    "denied": (403, "", InputError, "store.denied", "the token does not allow it; run hf auth login"),
    "gated": (403, "GatedRepo", InputError, "store.denied", "accept its terms on its page"),
    "deleted": (404, "EntryNotFound", ConflictError, "input.changed", "was deleted while it was read; run again"),
    "odd": (418, "", StorageError, "store.failed", "HTTP 418"),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_a_refusal_names_the_url_and_no_secret(case, file, push, hub_server):
    status, code, error, problem, says = ANSWERS[case]
    url = push(file)
    hub_server.faults.append(Fault(lambda method, path: "/resolve/" in path, status, code))
    with pytest.raises(error, match=says) as refused:
        initctl.inspect(url)
    assert str(refused.value).startswith(url)
    assert refused.value.problems[0].code == problem
    assert "canary" not in str(refused.value)


def test_the_hub_may_limit_the_rate(file, push, hub_server):
    url = push(file)
    hub_server.faults.append(Fault(lambda method, path: "/api/" in path, 429))
    with pytest.raises(StorageError, match="too busy; run again later") as refused:
        initctl.inspect(url)
    assert refused.value.problems[0].code == "store.busy"


def test_a_busy_hub_is_asked_again_for_a_range(file, push, hub_server):
    url = push(file)
    hub_server.faults.append(Fault(lambda method, path: "/resolve/" in path, 503))
    assert len(initctl.inspect(url).tensors) == 3


def test_if_the_connection_breaks_the_rest_is_asked_for_again(file, push, hub_server):
    url = push(file)
    hub_server.breaking = 3
    assert initctl.stats(url).to_json()["tensors"] == initctl.stats(file).to_json()["tensors"]
    assert hub_server.breaking == 0


def test_a_connection_that_always_breaks_is_given_up(file, push, hub_server):
    url = push(file)
    hub_server.breaking = 99
    with pytest.raises(StorageError, match="breaks again and again"):
        initctl.inspect(url)


def test_a_file_that_is_sent_whole_is_read(model, push, hub_server):
    url = push(model)
    hub_server.knows_ranges = False
    assert initctl.stats(url).to_json() == initctl.stats(model).to_json()


def test_a_large_file_that_is_sent_whole_is_not_read_to_its_end(push, hub_server, tmp_path):
    save_file({"zeros": torch.zeros(48 << 20, dtype=torch.uint8), "last": torch.ones(4)}, tmp_path / "net.safetensors")
    url = push(tmp_path / "net.safetensors")
    hub_server.knows_ranges = False
    assert len(initctl.inspect(url).tensors) == 2
    assert hub_server.cut_off.wait(timeout=60)
    with pytest.raises(StorageError, match="does not answer requests for ranges"):
        initctl.stats(url, ["zeros"])


def test_a_range_that_begins_elsewhere_is_refused(file, push, hub_server):
    url = push(file)
    hub_server.shift = 1
    with pytest.raises(StorageError, match="does not answer requests for ranges"):
        initctl.inspect(url)


def test_ranges_of_a_file_are_read_at_any_offset(file, push):
    content = file.read_bytes()
    with opened(mirrored(Url.parse(push(file)))) as (descriptor, _):
        for start, length in ((0, 8), (70_001, 3), (len(content) - 5, 100), (65_535, 2)):
            assert read_at(descriptor, length, start) == content[start : start + length]


@pytest.mark.parametrize("address", ["none", "http://", "http://host:port", "ftp://canary", "http://user:canary@host"])
def test_an_endpoint_that_is_no_address_is_refused_and_not_repeated(address, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", address)
    with pytest.raises(UsageError, match="HF_ENDPOINT is not the address of a server") as refused:
        initctl.inspect(f"hf://{NAME}")
    assert "canary" not in str(refused.value)


def test_a_server_that_is_not_there_cannot_be_reached(hub_server, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(StorageError, match=f"hf://{NAME}: the Hub cannot be reached"):
        initctl.inspect(f"hf://{NAME}")


def test_offline_mode_is_named(hub_server):
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "initctl", "inspect", f"hf://{NAME}"]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert ran.returncode == 5
    assert "HF_HUB_OFFLINE forbids" in ran.stderr


def test_a_name_of_a_folder_is_not_a_file(model, push):
    push(model, "net")
    assert opened_repository(NAME).find("net") is None
    assert opened_repository(NAME).find("net/config.json").size > 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["inspect", "{}", "--json"],
        ["plan", "{}", "-r", "*norm*=ones"],
        ["stats", "{}"],
        ["doctor", "{}"],
        ["suggest", "{}"],
        ["diff", "{}", "{}"],
        ["verify", "{}", "-r", "*=keep", "--allow-unused"],
        ["apply", "{}", "-o", "{out}", "-r", "*norm*=ones"],
        ["new", "--like", "{}", "-o", "{out}", "-r", "*=zeros"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_each_command_says_of_a_url_what_it_says_of_the_files(arguments, model, push, tmp_path):
    url, found = push(model), []
    for number, place in enumerate((str(model), url)):
        out = tmp_path / f"out{number}"
        command = [argument.format(place, out=out) for argument in arguments]
        ran = subprocess.run([sys.executable, "-m", "initctl", *command], capture_output=True, text=True)
        texts = [text.replace(str(out), "OUT").replace("\n# ", " ") for text in (ran.stdout, ran.stderr)]
        said = [" ".join(text.replace(place, "HERE").split()) for text in texts]
        found.append((ran.returncode, *said))
    assert found[0] == found[1]
    assert found[0][0] in (0, 1)
    assert "canary" not in "".join(found[1][1:])
