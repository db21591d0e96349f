"""Processes that are forked share no connection: they would read each other's answers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stores.forked import LENGTH
from tests.stores.keeping import keeping

CONTENT = bytes(range(256)) * 4
STORES = {"s3_server": "AWS_ENDPOINT_URL", "gs_server": "STORAGE_EMULATOR_HOST", "hub_server": "HF_ENDPOINT"}
"""Each store's server, and the variable that has its address."""


@pytest.fixture(params=STORES)
def url_and_variable(request, tmp_path):
    server = request.getfixturevalue(request.param)
    if request.param == "hub_server":
        (tmp_path / "object").write_bytes(CONTENT)
        return request.getfixturevalue("push")(tmp_path / "object"), STORES[request.param]
    server.put("object", CONTENT)
    return server.url("object"), STORES[request.param]


def test_a_forked_process_reads_by_connections_of_its_own(url_and_variable):
    url, variable = url_and_variable
    with keeping(os.environ[variable]) as (server, address):
        environment = {**os.environ, variable: address}
        command = [sys.executable, "-m", "tests.stores.forked", url]
        read = subprocess.run(
            command, env=environment, cwd=Path(__file__).parents[2], check=True, capture_output=True, timeout=60
        )
    assert read.stdout == CONTENT[: 3 * LENGTH]
    ports, asked = zip(*server.came_by, strict=True)
    first, last = (asked.index(f"bytes={start}-{start + LENGTH - 1}") for start in (0, 2 * LENGTH))
    of_child, of_parent = ports[first + 1 : last], ports[: first + 1] + ports[last:]
    assert of_child
    assert len({*of_parent}) < len(of_parent)  # connections are used again
    assert not {*of_child} & {*of_parent}
