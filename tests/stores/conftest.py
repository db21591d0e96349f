from __future__ import annotations

import pytest

import initctl.stores.mirror
from initctl.stores.upload_parts import Limits
from tests.stores import hub
from tests.stores.servers import BUCKET, Bucket, Server, running


@pytest.fixture(scope="session")
def _listening():
    pytest.importorskip("moto")
    server = Server()
    with running(server) as url:
        yield server, url


@pytest.fixture
def server(_listening, monkeypatch):
    """A server of S3 with one bucket, for processes with the environment of this one."""
    server, url = _listening
    monkeypatch.setattr(initctl.stores.mirror, "_tops", {})
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "canary-id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    import boto3

    boto3.client("s3").create_bucket(Bucket=BUCKET)
    server.asked.clear()
    yield server
    server.faults.clear()
    server.breaking, server.gate = 0, None
    bucket = boto3.resource("s3").Bucket(BUCKET)
    bucket.objects.all().delete()
    bucket.delete()


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
        import boto3

        bucket = boto3.resource("s3").Bucket(BUCKET)
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                name = f"{key}/{file.relative_to(path)}" if path.is_dir() else key
                bucket.put_object(Key=name, Body=file.read_bytes())
        server.asked.clear()
        return f"s3://{BUCKET}/{key}"

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
