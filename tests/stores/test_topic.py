"""The commands of the topic run as they stand there."""

from __future__ import annotations

import pytest

import initctl
from initctl.topics import find_topic
from tests.jobs import commands, network
from tests.test_jobs import ran

COMMANDS = commands(find_topic("stores").text)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_proposed_command_runs_without_a_complaint(tmp_path, put, push, command):
    network(tmp_path / "net.safetensors")
    initctl.apply(tmp_path / "net.safetensors", tmp_path / "sharded", max_shard_size="10kB")
    put(tmp_path / "net.safetensors", "models/net.safetensors")
    put(tmp_path / "sharded", "models/net")
    push(tmp_path / "sharded")
    push(tmp_path / "net.safetensors", branch="v1.0")
    assert ran(command, tmp_path) == (0, "")


def test_the_topic_proposes_commands():
    assert len(COMMANDS) > 2
