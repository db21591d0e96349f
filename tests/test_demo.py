"""A tour shows commands, and what each of them shows."""

from __future__ import annotations

import json
import shlex
import subprocess

import pytest

import initctl
from initctl.demo import CHECKPOINT, OUTPUT, demonstrate
from tests.display.text import piped
from tests.readme import environment


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("demo") / "new"


@pytest.fixture(scope="module")
def demo(folder):
    return demonstrate(str(folder))


def test_its_result_is_verified(demo):
    assert demo.verified
    assert [step.command[0] for step in demo.steps] == ["inspect", "plan", "apply", "stats", "doctor", "diff", "verify"]


def test_each_command_shows_by_itself_what_the_tour_shows(demo, folder):
    for step in demo.steps:
        command = shlex.join(("initctl", *step.command))
        if step.command[0] == "apply":
            (folder / OUTPUT).unlink()
        run = subprocess.run(["bash", "-c", command], cwd=folder, env=environment(), capture_output=True, text=True)
        assert (run.returncode, run.stderr) == (step.command[0] == "diff", "")
        assert run.stdout == repr(step.result).replace(f"{folder}/", "") + "\n"


def test_it_shows_each_command_below_a_reason_and_ends_with_the_place_of_the_files(demo, folder):
    lines = piped(demo.report()).splitlines()
    commands = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    assert commands == [shlex.join(("initctl", *step.command)) for step in demo.steps]
    assert [line.removeprefix("# ") for line in lines if line.startswith("# ")] == [s.reason for s in demo.steps]
    assert lines[-1].startswith(f"The files are in {folder}: ")


def test_its_json_names_the_directory_and_the_commands(demo, folder):
    data = json.loads(json.dumps(demo.to_json(), allow_nan=False))
    assert list(data) == ["directory", "verified", "steps"]
    assert (data["directory"], data["verified"]) == (str(folder), True)
    assert data["steps"][0] == {"command": ["initctl", "inspect", CHECKPOINT]}


@pytest.mark.parametrize("taken", [CHECKPOINT, OUTPUT])
def test_a_model_that_is_there_is_not_replaced_by_a_demonstration(tmp_path, taken):
    (tmp_path / taken).write_bytes(b"precious")
    with pytest.raises(initctl.ConflictError, match=f"{taken}: exists"):
        demonstrate(str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == [taken]
    assert (tmp_path / taken).read_bytes() == b"precious"


def test_a_directory_that_cannot_be_made_is_the_environments_fault(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(initctl.StorageError, match="file/below: cannot be written"):
        demonstrate(str(tmp_path / "file" / "below"))
