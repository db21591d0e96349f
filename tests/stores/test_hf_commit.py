"""A commit on the Hugging Face Hub has all files or does not exist, whatever the Hub answers."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import initctl
from initctl.errors import ConflictError, InitctlError, StorageError, UncertainError
from initctl.stores import hf_commit
from initctl.stores.hf import opened
from tests.stores.hub import NAME, Fault, oid

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # as huggingface_hub calls httpx
OLD = {"README.md": b"# Old", "old.bin": b"old", "model.safetensors": b"old weights"}


def on_commit(status=0, code="", *, is_obeyed=True, times=1):
    """The faults of `times` requests for a commit."""
    return [Fault(lambda method, path: "/commit/" in path, status, code, is_obeyed)] * times


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(hf_commit, "_PAUSES", (0, 0))


@pytest.fixture
def repository(hub_server, push, tmp_path):
    """A repository of the server with one commit."""
    (tmp_path / "old").mkdir()
    for name, content in OLD.items():
        (tmp_path / "old" / name).write_bytes(content)
    push(tmp_path / "old")
    return hub_server.repositories[f"models/{NAME}"]


@pytest.fixture
def files(tmp_path):
    """What is to be committed, as paths and as bytes by name."""
    save_file({"weight": torch.arange(600.0)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"hidden_size": 2}')
    (tmp_path / "README.md").write_text("# New")
    names = {"model.safetensors": "model.safetensors", "folder/config.json": "config.json", "README.md": "README.md"}
    return {name: str(tmp_path / file) for name, file in names.items()}


def contents(files):
    return {name: Path(path).read_bytes() for name, path in files.items()}


def commit(files, bucket=NAME, **options):
    found = opened(bucket)
    found.commit = options.pop("parent", None) or found.commit
    change = found.change(files, options.pop("removed", ()), "New weights", **options)
    change.upload()
    change.commit()


def test_all_files_are_there_after_one_commit(repository, files, hub_server):
    before = repository.refs["main"]
    commit(files, removed=["old.bin"])
    made = repository.commits[repository.refs["main"]]
    assert (made.parent, made.title) == (before, "New weights")
    assert repository.head() == contents(files)


def test_large_files_are_sent_beside_the_hub_and_without_the_token(repository, files, hub_server):
    commit(files)
    put = [one for one in hub_server.asked if one.method == "PUT"]
    assert len(put) == 1
    assert (put[0].host, put[0].token) == ("cdn", None)


def test_what_is_committed_is_read_back(repository, files, push):
    commit(files)
    assert initctl.inspect(f"hf://{NAME}@{repository.refs['main']}/model.safetensors").tensors[0].name == "weight"


def test_other_branches_stay_as_they_are(repository, files, push, tmp_path):
    push(tmp_path / "old", branch="a/b")
    before = repository.refs["main"]
    commit(files, f"{NAME}@a%2Fb")
    assert repository.refs["main"] == before
    assert repository.head("a/b") == {**OLD, **contents(files)}


def test_rules_for_ignored_files_leave_no_file_out(repository, files):
    repository.ignored = "model.safetensors README.md"
    commit(files)
    assert repository.head() == {**OLD, **contents(files)}


def test_if_another_commit_was_made_nothing_changes(repository, files):
    parent = repository.refs["main"]
    repository.add({"theirs.txt": b"theirs"})
    with pytest.raises(ConflictError, match=f"^hf://{NAME}: another commit was made; run again") as refused:
        commit(files, parent=parent)
    assert refused.value.problems[0].code == "output.changed"
    assert repository.head() == {"theirs.txt": b"theirs"}


def test_if_the_history_was_rewritten_nothing_changes(repository, files):
    parent = repository.refs["main"]
    repository.refs.clear()
    repository.add({"theirs.txt": b"theirs"})
    with pytest.raises(ConflictError, match="another commit was made"):
        commit(files, parent=parent)
    assert repository.head() == {"theirs.txt": b"theirs"}


def test_of_two_commits_at_a_time_one_is_made(repository, files, tmp_path):
    (tmp_path / "other.json").write_text("{}")
    parent, ended = repository.refs["main"], []

    def try_it(files):
        try:
            commit(files, parent=parent)
            ended.append("made")
        except ConflictError:
            ended.append("refused")

    threads = [threading.Thread(target=try_it, args=(one,)) for one in (files, {"b": str(tmp_path / "other.json")})]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ended) == ["made", "refused"]
    assert [*repository.history(repository.refs["main"])][1] == parent


@pytest.mark.parametrize("faults", [on_commit(0), on_commit(504), on_commit(502, times=2), on_commit(0) * 2])
def test_a_commit_whose_answer_is_lost_is_made_once(faults, repository, files, hub_server):
    before = repository.refs["main"]
    hub_server.faults += faults
    commit(files)
    assert [*repository.history(repository.refs["main"])][1] == before
    assert repository.head() == {**OLD, **contents(files)}


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_hub_is_asked_again(status, repository, files, hub_server):
    before = repository.refs["main"]
    hub_server.faults += on_commit(status)
    commit(files)
    assert repository.commits[repository.refs["main"]].parent == before


def test_commits_of_others_may_follow_one_whose_answer_is_lost(repository, files, hub_server):
    hub_server.faults += on_commit(0)
    hub_server.before = ("/commits/", lambda: repository.add({"theirs": b"theirs"}))
    commit(files)
    theirs, made, _ = repository.history(repository.refs["main"])
    assert "theirs" in repository.commits[theirs].files
    assert repository.commits[made].files == {**OLD, **contents(files)}


@pytest.mark.parametrize("name", ["README.md", "model.safetensors"])
def test_a_commit_of_others_is_not_taken_for_one_whose_answer_is_lost(name, repository, files, hub_server):
    their_files = {**OLD, **contents(files), name: b"theirs"}
    hub_server.before = ("/commit/", lambda: repository.add(their_files))
    hub_server.faults += on_commit(0, is_obeyed=False)
    with pytest.raises(ConflictError):
        commit(files)
    assert repository.head() == their_files


def test_if_the_hub_never_answers_it_is_not_known_whether_there_is_a_commit(repository, files, hub_server):
    before = repository.refs["main"]
    hub_server.faults += on_commit(0, is_obeyed=False, times=3)
    with pytest.raises(UncertainError, match="did not say whether it was committed; look") as raised:
        commit(files)
    assert raised.value.problems[0].code == "store.uncertain"
    assert repository.refs["main"] == before


def test_if_the_history_cannot_be_read_it_is_not_known_whether_there_is_a_commit(repository, files, hub_server):
    hub_server.faults += [*on_commit(0), Fault(lambda method, path: "/commits/" in path, 403)]
    with pytest.raises(UncertainError):
        commit(files)
    assert repository.head() == {**OLD, **contents(files)}


def test_a_refusal_does_not_say_that_an_earlier_request_is_over(repository, files, hub_server):
    hub_server.faults += [*on_commit(0, is_obeyed=False), *on_commit(403)]
    with pytest.raises(UncertainError):
        commit(files)


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (403, "", "store.denied"),
        (404, "RepoNotFound", "store.denied"),
        (400, "", "store.failed"),
        (413, "", "store.failed"),
    ],
)
def test_a_refused_commit_is_an_error_of_the_store(status, code, says, repository, files, hub_server):
    before = repository.refs["main"]
    hub_server.faults += on_commit(status, code)
    with pytest.raises(StorageError, match=f"^hf://{NAME}: ") as refused:
        commit(files)
    assert refused.value.problems[0].code == says
    assert "canary" not in str(refused.value)
    assert repository.refs["main"] == before


def test_a_hub_that_stays_busy_made_no_commit(repository, files, hub_server):
    before = repository.refs["main"]
    hub_server.faults += on_commit(503, times=3)
    with pytest.raises(StorageError, match="too busy"):
        commit(files)
    assert repository.refs["main"] == before


@pytest.mark.parametrize("place", ["/preupload/", "/objects/batch", "/upload/"])
@pytest.mark.parametrize("status", [403, 400])
def test_an_upload_that_fails_commits_nothing(status, place, repository, files, hub_server):
    before = repository.refs["main"]
    hub_server.faults.append(Fault(lambda method, path: place in path, status))
    with pytest.raises(StorageError) as refused:
        commit(files)
    assert "canary" not in str(refused.value)
    assert repository.refs["main"] == before
    assert not hub_server.paths("POST", "/commit/")


def test_whatever_answer_is_lost_the_error_says_what_is_there(repository, files, hub_server):
    commit(files)
    asked = [(one.method, one.path) for one in hub_server.asked]
    first = [*repository.history(repository.refs["main"])][-1]
    assert len(asked) > 5
    for number, (method, path) in enumerate(asked):
        if "/api/" not in path:
            continue
        for status in (0, 403, 412, 500):
            repository.refs["main"] = first
            hub_server.uploaded.clear()
            before = repository.head()
            hub_server.faults[:] = [Fault(lambda m, p, wanted=(method, path): (m, p) == wanted, status)]
            try:
                commit(files, removed=["old.bin"])
            except InitctlError as error:
                assert not isinstance(error, UncertainError), (number, status)
                assert repository.head() == before
            else:
                assert repository.commits[repository.refs["main"]].parent == first
                assert repository.head() == contents(files)


def test_without_a_login_nothing_is_committed(repository, files, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(StorageError, match="hf auth login"):
        commit(files)


def test_equal_content_of_another_commit_is_as_good(repository, files, hub_server):
    hub_server.before = ("/commit/", lambda: repository.add({**OLD, **contents(files)}))
    before = repository.refs["main"]
    commit(files)
    theirs, *earlier = repository.history(repository.refs["main"])
    assert (earlier[0], repository.commits[theirs].title) == (before, "A commit")
    assert repository.head()["model.safetensors"] == contents(files)["model.safetensors"]
    assert oid("README.md", b"# New") == opened(NAME).find("README.md").version
