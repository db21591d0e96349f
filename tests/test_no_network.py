"""No command uses a network, unless a path is the URL of a store: not through Python, and not by any system call."""

from __future__ import annotations

import subprocess
import warnings
from typing import TYPE_CHECKING, NamedTuple

import pytest
import torch
import torch.distributed.checkpoint as dcp
from safetensors.torch import save_file

from initctl.cli.commands import SUMMARIES
from tests.cli.processes import SCRIPT, environment
from tests.tracing import can_trace, tracer

if TYPE_CHECKING:
    from pathlib import Path

GUARD = """
import sys

def refuse(event, arguments):
    if event.startswith("socket."):
        with open({log!r}, "a") as log:
            print(event, *arguments, file=log)
        raise OSError(f"{{event}} is refused")

sys.addaudithook(refuse)
"""
"""A module that Python imports as it starts, in this process and in those that it starts. It remembers what it refused,
since a library may go on without a network."""
FROM_CONFIG = "new -o model --config config"
RUNS = (
    FROM_CONFIG,
    "inspect model",
    "inspect net.pt",
    "inspect parts",
    "plan model -p auto",
    "plan net.safetensors -r *.weight=normal --save saved.json --html page.html",
    "apply net.safetensors --plan saved.json -o out.safetensors --report report.json",
    "apply net.pt --in-place -r *.weight=normal --rng torch",
    "apply net.safetensors --in-place --patch -r *.weight=orthogonal",
    "apply parts -o other-parts -r *.weight=normal",
    "verify out.safetensors --plan saved.json",
    "stats net.safetensors",
    "diff net.safetensors net.safetensors",
    "doctor model",
    "suggest model",
    "new -o like.safetensors --like net.safetensors -r *=zeros",
    "initializers normal",
    "presets gpt2",
    "recipe-check recipe.toml net.safetensors",
    "recipe-schema",
    "help stores",
    "demo demo",
    "completion bash",
    "version",
)
"""A run may need the files of those before it."""
LLAMA = """{"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 32, "hidden_size": 8,
"intermediate_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1}"""
CLIENT_OF_S3 = {
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_MAX_ATTEMPTS": "1",
}
"""Otherwise it asks the network for them."""


class Ran(NamedTuple):
    """What one of the runs did: its `status` and messages, what the guard `refused`, and its `calls` of the system that
    connect or send; None if the system does not let them be traced.
    """

    run: str
    status: int
    err: str
    refused: list[str]
    calls: str | None


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Ran]:
    """What all runs did, one after another."""
    home = tmp_path_factory.mktemp("home")
    fill(home)
    refused, log = guard_in(home), home / "calls"
    tracing = tracer(log, "connect,sendto,sendmsg,sendmmsg") if can_trace() else []
    found = []
    for run in RUNS:
        status, err = ended(run, home, *tracing, PYTHONPATH=str(refused.parent / "guard"))
        lines = refused.read_text().splitlines() if refused.exists() else []
        refused.unlink(missing_ok=True)
        found.append(Ran(run, status, err, lines, log.read_text() if tracing else None))
    return found


def fill(directory: Path) -> None:
    """Put what the runs need into a directory."""
    state = torch.nn.Sequential(torch.nn.Linear(8, 4), torch.nn.Linear(4, 2)).state_dict()
    save_file(state, directory / "net.safetensors")
    torch.save(state, directory / "net.pt")
    with warnings.catch_warnings(action="ignore"):  # that there is only one process
        dcp.save(state, checkpoint_id=str(directory / "parts"), no_dist=True)
    (directory / "config").mkdir()
    (directory / "config/config.json").write_text(LLAMA)
    (directory / "recipe.toml").write_text('[[rule]]\nmatch = "*.weight"\ninit = "normal"\n')


def guard_in(directory: Path) -> Path:
    """The file to which the guard beside it writes what it refused."""
    (directory / "guard").mkdir()
    (directory / "guard/sitecustomize.py").write_text(GUARD.format(log=str(directory / "refused")))
    return directory / "refused"


def ended(run: str, directory: Path, *before: str, **variables: str) -> tuple[int, str]:
    """The status of a run and its messages."""
    done = subprocess.run(
        [*before, *SCRIPT, *run.split()],
        cwd=directory, env=environment(**variables), capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return done.returncode, done.stderr


def test_every_command_is_run_here():
    assert {run.split()[0] for run in RUNS} == set(SUMMARIES)


def test_no_command_opens_a_socket_or_resolves_a_name(runs: list[Ran]):
    for run, status, err, refused, _ in runs:
        assert status == 0, (run, err)
        if run == FROM_CONFIG:  # transformers imports urllib3, which tries once whether this machine has IPv6
            assert [line.split()[0] for line in refused] == ["socket.__new__"]
        else:
            assert not refused, run


def test_no_command_connects_or_sends_by_any_system_call(runs: list[Ran]):
    if runs[0].calls is None:
        pytest.skip("needs strace, and the right to use it")
    for run, *_, calls in runs:
        assert "AF_INET" not in calls, run


def test_a_run_that_needs_the_network_is_refused_and_remembered(tmp_path: Path):
    refused = guard_in(tmp_path)
    status, err = ended("inspect s3://bucket/net", tmp_path, PYTHONPATH=str(refused.parent / "guard"), **CLIENT_OF_S3)
    assert status == 5, err
    assert "socket." in refused.read_text()
