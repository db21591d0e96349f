"""A result on the Hugging Face Hub is one commit, and has the bytes that are written to files."""

from __future__ import annotations

import pytest

import initctl
from initctl.errors import ConflictError, StorageError, UsageError
from tests.distributed.checkpoints import CASES, archive, one_file, shards
from tests.stores.hub import NAME, Fault
from tests.stores.test_writing import files

pytestmark = pytest.mark.filterwarnings("ignore::initctl.InitctlWarning", "ignore:Use 'content=:DeprecationWarning")
CHOSEN = [case for case in CASES if case.source in (one_file, archive, shards) and "out" in case.output]
URL = f"hf://{NAME}"


@pytest.fixture
def repository(hub_server, push, tmp_path):
    """A repository with one commit."""
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "notes.txt").write_text("old")
    push(tmp_path / "old")
    return hub_server.repositories[f"models/{NAME}"]


def below(repository, folder):
    """The content of the files in `folder` of the last commit, by the rest of their names."""
    found = repository.head()
    return {name.removeprefix(f"{folder}/"): found[name] for name in found if name.startswith(f"{folder}/")}


@pytest.mark.parametrize("case", CHOSEN[::2], ids=str)
def test_it_has_the_bytes_of_the_files(tmp_path, repository, case):
    source, there = case.source(tmp_path), tmp_path / "there"
    there.mkdir()
    initctl.apply(source, f"{there}/{case.output}", **case.asked)
    before = len(repository.commits)
    initctl.apply(source, f"{URL}/there/{case.output}", **case.asked)
    assert below(repository, "there") == files(there)
    assert len(repository.commits) == before + 1


@pytest.mark.parametrize("source", [one_file, shards])
def test_files_change_in_place_in_one_commit(tmp_path, hub_server, push, source):
    path = source(tmp_path)
    url = push(path)
    repository = hub_server.repositories[f"models/{NAME}"]
    before, asked = len(repository.commits), {"rules": ["norm.bias=ones", "double=normal"]}
    initctl.apply(url, in_place=True, **asked)
    initctl.apply(path, in_place=True, **asked)
    assert repository.head() == files(path)
    assert len(repository.commits) == before + 1


def test_a_component_changes_in_place(tmp_path, hub_server, push):
    path = shards(tmp_path)
    push(path, "unet")
    initctl.apply(URL, in_place=True, component="unet", rules=["norm.bias=ones", "double=normal"])
    initctl.apply(path, in_place=True, rules=["norm.bias=ones", "double=normal"])
    assert below(hub_server.repositories[f"models/{NAME}"], "unet") == files(path)


def test_stale_files_are_removed_by_the_same_commit(tmp_path, hub_server, push):
    import torch
    from safetensors.torch import save_file

    (tmp_path / "net").mkdir()
    save_file({"a": torch.ones(3)}, tmp_path / "net" / "model.safetensors")
    torch.save({"a": torch.ones(3)}, tmp_path / "net" / "pytorch_model.bin")
    initctl.apply(push(tmp_path / "net"), in_place=True, rules=["a=zeros"], stale="drop")
    assert hub_server.repositories[f"models/{NAME}"].head().keys() == {"model.safetensors"}


def test_a_commit_that_another_program_made_meanwhile_stays(tmp_path, hub_server, push):
    path = one_file(tmp_path)
    url = push(path)
    plan = initctl.plan(url, rules=["norm.bias=ones"])
    (tmp_path / "theirs.txt").write_text("theirs")
    push(tmp_path / "theirs.txt")
    with pytest.raises(ConflictError, match=f"{URL}: another commit was made; run again"):
        initctl.apply(plan, in_place=True)
    assert hub_server.repositories[f"models/{NAME}"].head()["net.safetensors"] == path.read_bytes()


def test_what_the_hub_refuses_leaves_the_old_files(tmp_path, hub_server, push):
    path = one_file(tmp_path)
    url = push(path)
    hub_server.faults += [Fault(lambda method, path: "/commit/" in path, 403, "")]
    with pytest.raises(StorageError, match="the token does not allow it"):
        initctl.apply(url, in_place=True, rules=["norm.bias=ones"])
    assert hub_server.repositories[f"models/{NAME}"].head() == files(path)


def test_a_folder_with_files_that_are_not_part_of_the_result_is_not_replaced(tmp_path, repository):
    with pytest.raises(ConflictError, match=r"contains files that are not part of the result: notes\.txt"):
        initctl.apply(shards(tmp_path), URL, rules=["norm.bias=ones"])


def test_a_folder_of_the_same_files_is_replaced(tmp_path, hub_server, push):
    path = shards(tmp_path)
    url = push(path, "net")
    assert initctl.apply(path, url, rules=["norm.bias=ones"]).replaced
    initctl.apply(path, in_place=True, rules=["norm.bias=ones"])
    assert below(hub_server.repositories[f"models/{NAME}"], "net") == files(path)


def test_several_processes_do_not_make_one_commit(tmp_path, repository):
    with pytest.raises(UsageError, match="is changed by one commit, which one process makes"):
        initctl.parts(one_file(tmp_path), f"{URL}/new.safetensors", rules=["norm.bias=ones"]).write(1, 2)


def test_a_repository_that_does_not_exist_is_not_made(tmp_path, hub_server):
    with pytest.raises(StorageError, match="the repository does not exist, or is private"):
        initctl.apply(one_file(tmp_path), "hf://org/none/net.safetensors", rules=["norm.bias=ones"])


def test_no_temporary_files_are_left(tmp_path, hub_server, push, monkeypatch):
    import tempfile

    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    url = push(one_file(tmp_path))
    initctl.apply(url, in_place=True, rules=["norm.bias=ones"])
    (mirror,) = (tmp_path / "temporary").iterdir()
    assert {path.name for path in mirror.iterdir()} == {"hf:", "kept"}
