"""Where output may go, and where it is refused before anything is written."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file

import initctl
from initctl.events import Chosen
from tests.commit.folders import contents, snapshot
from tests.execution.checkpoints import assert_written, sharded, single

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RULES = ["norm.weight=zeros"]
FILLED = {"norm.weight": torch.zeros(8)}


def refuse(
    source: Path, output: Path | str, error: type[initctl.InitctlError], code: str, **options: bool
) -> initctl.Problem:
    """`output` is refused with `error` before an engine is chosen, and nothing in the folder of `source` changes."""
    before, told = snapshot(source.parent), []
    with pytest.raises(initctl.InitctlError) as raised:
        initctl.apply(source, output, rules=RULES, on_event=told.append, **options)
    assert not any(isinstance(event, Chosen) for event in told)
    assert type(raised.value) is error
    (problem,) = raised.value.problems
    assert problem.code == code
    assert snapshot(source.parent) == before
    return problem


SPELLINGS: dict[str, Callable[[Path], object]] = {
    "the same path": lambda source: source,
    "through its own directory": lambda source: source.parent / "." / "x" / ".." / source.name,
    "relative": lambda source: os.path.relpath(source),
    "with a slash at the end": lambda source: f"{source}/",
    "a link": lambda source: source.parent / "link",
    "a link to a link": lambda source: source.parent / "link-to-link",
    "below a link": lambda source: source.parent / "up" / source.name,
}


@pytest.fixture(params=["file", "directory"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A checkpoint, with links that lead to it."""
    path = single(tmp_path / "in") if request.param == "file" else sharded(tmp_path / "in")
    (tmp_path / "x").mkdir()
    (tmp_path / "link").symlink_to("in")
    (tmp_path / "link-to-link").symlink_to("link")
    (tmp_path / "up").symlink_to(".")
    return path


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_input_is_refused_as_output_however_it_is_spelled(source: Path, spelling: str):
    problem = refuse(source, SPELLINGS[spelling](source), initctl.UsageError, "output.is_input")
    assert problem.message.endswith(": is the input")
    assert problem.hint == "use --in-place to replace it"


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_input_given_by_another_spelling_is_refused_too(source: Path, spelling: str):
    with pytest.raises(initctl.UsageError, match="is the input"):
        initctl.apply(str(SPELLINGS[spelling](source)).rstrip("/"), source, rules=RULES)


@pytest.mark.parametrize("spelling", ["model/", "model", "link/"])
def test_a_directory_that_contains_the_input_is_not_replaced_by_the_result(tmp_path: Path, spelling: str):
    path = single(tmp_path / "model" / "model.safetensors")
    (tmp_path / "link").symlink_to("model")
    before = contents(tmp_path)
    for source in (path, sharded(tmp_path / "model" / "deep")):
        with pytest.raises(initctl.UsageError, match="contains the input, and would be replaced"):
            initctl.apply(source, f"{tmp_path}/{spelling}", rules=RULES)
    assert before.items() <= contents(tmp_path).items()


def test_a_directory_in_which_parts_of_another_result_are_begun_is_not_replaced(tmp_path: Path):
    folder, out = sharded(tmp_path / "in"), tmp_path / "out"
    initctl.apply(folder, out, rules=RULES)
    (out / ".initctl-0123456789ab.parts").mkdir()
    before = contents(out)
    with pytest.raises(initctl.ConflictError, match="parts of another result are begun there"):
        initctl.apply(folder, out, rules=RULES)
    assert contents(out) == before


def test_another_hard_link_of_the_input_is_the_input(tmp_path: Path):
    path = single(tmp_path / "in")
    os.link(path, tmp_path / "other")
    refuse(path, tmp_path / "other", initctl.UsageError, "output.is_input")


def test_the_directory_of_an_index_is_its_input(tmp_path: Path):
    folder = sharded(tmp_path / "in")
    refuse(folder / "model.safetensors.index.json", folder, initctl.UsageError, "output.is_input")


def test_a_directory_that_does_not_exist_is_named(source: Path):
    problem = refuse(source, source.parent / "no" / "out", initctl.StorageError, "output.parent")
    assert problem.message == f"{source.parent}/no/out: the directory {source.parent}/no does not exist"
    assert problem.hint == "create it first"


def test_a_file_in_place_of_the_directory_is_told(tmp_path: Path):
    source = single(tmp_path / "in.safetensors")
    with pytest.raises(initctl.StorageError, match=r"in\.safetensors is not a directory$"):
        initctl.apply(source, source / "x.safetensors", rules=["*=zeros"])


def test_a_file_in_place_of_the_directory_is_named(source: Path):
    (source.parent / "file").touch()
    refuse(source, source.parent / "file" / "out", initctl.StorageError, "output.parent")


def test_a_directory_that_holds_anything_is_not_replaced_by_the_shards_of_a_file(tmp_path: Path):
    path = single(tmp_path / "in")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes").touch()
    problem = refuse(path, tmp_path / "out", initctl.ConflictError, "output.strangers")
    assert problem.message == f"{tmp_path}/out: contains files that are not part of the result: notes"


def test_a_file_in_the_place_of_a_directory_is_refused(tmp_path: Path):
    folder, path = sharded(tmp_path / "in"), single(tmp_path / "single")
    (tmp_path / "out").touch()
    for source, output in ((folder, tmp_path / "out"), (path, f"{tmp_path}/out/")):
        problem = refuse(source, output, initctl.UsageError, "output.kind")
        assert problem.message == f"{output}: is a file, but the result is a directory"
        assert problem.hint == "name a directory"


def test_a_pipe_a_socket_or_a_device_is_never_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = single(tmp_path / "in")
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        for output in (tmp_path / "pipe", tmp_path / "socket", "/dev/null"):
            assert "not a regular file" in refuse(path, output, initctl.UsageError, "output.kind").message


def test_a_link_that_leads_in_a_circle_is_a_storage_error(source: Path):
    (source.parent / "circle").symlink_to("circle")
    message = refuse(source, source.parent / "circle", initctl.StorageError, "storage.failed").message
    assert message == f"{source.parent}/circle: cannot be written: Too many levels of symbolic links"


def test_two_dots_behind_a_link_lead_where_the_system_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "far" / "away").mkdir(parents=True)
    (tmp_path / "link").symlink_to("far/away")
    single(tmp_path / "far" / "in")
    monkeypatch.chdir(tmp_path)
    initctl.apply("link/../in", "link/../out", rules=RULES)
    initctl.apply("link/../in", in_place=True, rules=["layers.*=ones"])
    initctl.apply("link/../in", in_place="patch", rules=["embed.weight=ones"])
    assert contents(tmp_path).keys() == {"far", "far/away", "far/in", "far/out", "link"}
    refuse(tmp_path / "far" / "in", "link/../in", initctl.UsageError, "output.is_input")


@pytest.mark.parametrize("make", [single, sharded])
def test_another_directory_for_temporary_files_is_not_used(
    tmp_path: Path, make: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
):
    """It can be on another file system, from which nothing can be moved."""
    temporary, path = tmp_path / "temporary", make(tmp_path / "model")
    temporary.mkdir()
    before = temporary.stat().st_mtime_ns
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr("tempfile.tempdir", None)
    initctl.apply(path, tmp_path / "out", rules=RULES)
    initctl.apply(path, in_place=True, rules=["*.weight=ones"])
    assert temporary.stat().st_mtime_ns == before


def test_no_clobber_refuses_whatever_exists(source: Path):
    for name in ("x", "file"):
        (source.parent / "file").touch()
        refuse(source, source.parent / name, initctl.ConflictError, "output.exists", overwrite=False)


def test_no_clobber_lets_a_new_name_pass(source: Path):
    initctl.apply(source, source.parent / "out", rules=RULES, overwrite=False)
    assert (source.parent / "out").exists()


@pytest.mark.parametrize(
    ("strangers", "listed"),
    [
        (["mine.txt"], "mine.txt"),
        (["deep/er/mine.txt"], "deep/er/mine.txt"),
        (["extra/deep/mine"], "extra/deep/mine"),
        (["a", "b", "c", "d", "e"], "a, b, c and 2 more"),
        (["new\nline"], "new\\x0aline"),
    ],
)
def test_a_directory_that_holds_files_of_others_is_not_replaced(tmp_path: Path, strangers: list[str], listed: str):
    folder, out = sharded(tmp_path / "in"), tmp_path / "out"
    for name in ("model-1.safetensors", *strangers):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).touch()
    problem = refuse(folder, out, initctl.ConflictError, "output.strangers")
    assert problem.message == f"{out}: contains files that are not part of the result: {listed}"


def test_links_to_directories_and_pipes_are_strangers_too(tmp_path: Path):
    folder, out = sharded(tmp_path / "in"), tmp_path / "out"
    out.mkdir()
    (out / "link").symlink_to(tmp_path)
    os.mkfifo(out / "pipe")
    problem = refuse(folder, out, initctl.ConflictError, "output.strangers")
    assert problem.message.endswith(": link, pipe")


def test_a_directory_that_holds_the_input_is_not_replaced(tmp_path: Path):
    folder = sharded(tmp_path / "out" / "in")
    refuse(folder, tmp_path / "out", initctl.UsageError, "output.is_input")


def test_output_within_the_input_is_refused(tmp_path: Path):
    folder = sharded(tmp_path / "in")
    before = contents(folder)
    with pytest.raises(initctl.UsageError, match="is inside the input"):
        initctl.apply(folder, folder / "out", rules=RULES)
    assert contents(folder) == before


def test_a_directory_that_the_process_works_in_is_not_exchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder, out = sharded(tmp_path / "in"), sharded(tmp_path / "out")
    (out / "inner").mkdir()
    for here in (out, out / "inner"):
        monkeypatch.chdir(here)
        with pytest.raises(initctl.ConflictError, match="is or contains the working directory"):
            initctl.apply(folder, out, rules=RULES)
    monkeypatch.chdir(folder)
    with pytest.raises(initctl.ConflictError, match="is or contains the working directory"):
        initctl.apply(".", in_place=True, rules=["layers.*=ones"])


def test_output_in_the_working_directory_needs_no_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = single(tmp_path / "in")
    monkeypatch.chdir(tmp_path)
    initctl.apply("in", "out", rules=RULES)
    assert_written(path.read_bytes(), (tmp_path / "out").read_bytes(), FILLED)


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize("name", ["model.safetensors", "diffusion_pytorch_model.fp16.safetensors", "in"])
def test_a_file_goes_into_a_directory_under_its_name_if_the_path_names_one(tmp_path: Path, exists: bool, name: str):
    source, out = single(tmp_path / name), tmp_path / "out"
    if exists:
        out.mkdir()
    applied = initctl.apply(source, out if exists else f"{out}/", rules=RULES)
    written = name if name.endswith(".safetensors") else f"{name}.safetensors"
    assert [path.name for path in out.iterdir()] == [written]
    assert bool(applied.converted_to) is (written != name)
    before, after = load_file(source), load_file(out / written)
    assert before.keys() == after.keys()
    for name, values in after.items():
        assert values.dtype == before[name].dtype
        assert torch.equal(values.float(), FILLED.get(name, before[name]).float())
