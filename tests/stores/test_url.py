"""URLs of stores, and of files on this machine."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

import initctl
from initctl.errors import InitctlError, InputError, UsageError, shown
from initctl.escaping import without_secrets
from initctl.stores.url import Url, without_file_scheme
from tests.cli.checkpoints import NET, checkpoint
from tests.cli.processes import initctl as command


def test_a_url_names_a_bucket_and_a_key():
    assert Url.parse("S3://bucket/a/b/") == Url("s3", "bucket", "a/b")
    assert str(Url.parse("s3://bucket/a/b/")) == "s3://bucket/a/b"
    assert str(Url.parse("s3://bucket/")) == "s3://bucket"


@pytest.mark.parametrize(
    "text",
    [
        "s3://canary:secret@bucket/key",
        "s3://id:can/ary@bucket/canary",
        "s3://bucket/key?X-Amz-Signature=canary",
        "s3://bucket/key#canary",
        "hf://hf_canary@org/name",
        "hf://user:canary@org/name@main",
        "hf://org/name/file?token=canary",
    ],
)
def test_a_url_with_credentials_is_refused_and_not_repeated(text):
    with pytest.raises(UsageError, match=r"must not contain (credentials|\? or #)") as refused:
        initctl.inspect(text)
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("https://me:canary@host/a?sig=canary", "https://host/a"),
        ("w=copy:from=s3://id:can/ary@bucket/a#t where ndim > 1", "w=copy:from=s3://bucket/a#t where ndim > 1"),
        ("w=copy:from=https://host/a?sig=canary", "w=copy:from=https://host/a"),
        ("w=copy:from=hf://org/name@v1/a#t", "w=copy:from=hf://org/name@v1/a#t"),
        ("s3://bucket/a@b/net#1.safetensors", "s3://bucket/a@b/net#1.safetensors"),
        ("a@b.weight", "a@b.weight"),
    ],
)
def test_a_message_shows_no_secret_of_a_url(text, safe):
    assert shown(text) == safe


@pytest.mark.parametrize(
    "text",
    [
        "s3://bucket//net",
        "s3://bucket/a//net",
        "gs://bucket/a//",
        "hf://org/name//net",
        "s3://../net",
        "s3://bucket/../net",
        "s3://bucket/a/../../../net",
        "gs://bucket/./net",
        "hf://org/name/a/..",
    ],
)
def test_a_url_whose_path_would_lead_elsewhere_is_refused(text):
    """A key may contain all this, and is another one then; two slashes rather have an empty variable between them."""
    with pytest.raises(UsageError, match=r"has an empty name, \. or \.\. in its path"):
        Url.parse(text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("s3:/bucket/net", "s3://bucket/net"),
        ("S3:bucket/net", "s3://bucket/net"),
        ("gs//bucket/net", "gs://bucket/net"),
        ("gcs://bucket/net", "gs://bucket/net"),
        ("s3a://bucket/net", "s3://bucket/net"),
    ],
)
def test_the_url_that_is_meant_is_proposed(text, meant, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=f"did you mean {meant}[?]$"):
        initctl.inspect(text)
    checkpoint(tmp_path / "net.safetensors", NET)
    with pytest.raises(InitctlError, match=f"did you mean {meant}[?]$"):
        initctl.apply("net.safetensors", text, rules=["*=zeros"])
    assert os.listdir() == ["net.safetensors"]


@pytest.mark.parametrize("option", ["--save", "--html"])
def test_what_is_local_only_is_not_written_to_a_url(option, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s3:" / "bucket").mkdir(parents=True)
    checkpoint(tmp_path / "net.safetensors", NET)
    ran = command("plan", "net.safetensors", "-r", "*=zeros", option, "s3://bucket/a")
    assert ran.status == 2
    assert "error: s3://bucket/a: is a URL, but this is written to a local file; name a local file\n" in ran.err
    assert not os.listdir(tmp_path / "s3:" / "bucket")


def test_nothing_is_written_to_the_url_of_another_kind_of_server(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = checkpoint(tmp_path / "net.safetensors", NET)
    with pytest.raises(
        UsageError, match=r"^http://host/a: is a URL, but initctl writes only local files and URLs of s3"
    ):
        initctl.apply(path, "http://host/a", rules=["*=zeros"])


@pytest.mark.parametrize("option", ["-f", "--plan", "--base-config", "--config"])
def test_what_is_local_only_is_not_read_from_a_url(option, tmp_path):
    what = ["new"] if option == "--config" else ["apply", str(checkpoint(tmp_path / "net.safetensors", NET))]
    ran = command(*what, option, "s3://bucket/a.json", "-o", str(tmp_path / "out"))
    assert ran.status in (2, 3)
    assert re.search("s3://bucket/a.json: .*local file", ran.err)


@pytest.mark.parametrize(
    ("text", "bucket", "key"),
    [
        ("hf://org/name", "org/name", ""),
        ("hf://org/name@v1/unet/a.bin", "org/name@v1", "unet/a.bin"),
        ("hf://models/org/name@refs/pr/3/a.bin", "models/org/name@refs/pr/3", "a.bin"),
        ("hf://datasets/org/name@refs/convert/parquet", "datasets/org/name@refs/convert/parquet", ""),
        ("hf://spaces/org/name@a%2Fb/c", "spaces/org/name@a%2Fb", "c"),
        ("hf://org/name/file@2.bin", "org/name", "file@2.bin"),
    ],
)
def test_on_the_hub_a_bucket_is_a_repository_at_a_revision(text, bucket, key):
    assert Url.parse(text) == Url("hf", bucket, key)
    assert str(Url.parse(text)) == without_secrets(text) == text


@pytest.mark.parametrize(
    "name", ["gpt2", "gpt2/", "datasets/org", "buckets/org/name/a", "../..", "org/.git", "org/name@"]
)
def test_what_is_not_a_repository_is_refused(name):
    with pytest.raises(UsageError, match=r"names no repository; write hf://ORG/NAME\[@REVISION\]\[/PATH\]"):
        Url.parse(f"hf://{name}")


def test_a_url_without_a_bucket_is_refused():
    with pytest.raises(UsageError, match="names no bucket"):
        Url.parse("s3:///key")


def test_a_file_url_is_a_path(tmp_path):
    path = checkpoint(tmp_path / "a b.safetensors", NET)
    assert initctl.inspect(path.as_uri()).to_json() == initctl.inspect(path).to_json()


def test_other_texts_are_paths():
    assert without_file_scheme("models/net") == "models/net"


@pytest.mark.parametrize("text", ["file://server/share/net", "file:///net?a=b"])
def test_a_file_url_of_another_machine_is_refused(text):
    with pytest.raises(UsageError, match="not a file on this machine"):
        without_file_scheme(text)


@pytest.mark.parametrize(
    ("scheme", "library", "content", "says"),
    [
        ("s3", "boto3", "raise ModuleNotFoundError(name='boto3')", "which is not installed"),
        ("hf", "huggingface_hub", "raise ModuleNotFoundError(name='huggingface_hub')", "which is not installed"),
        ("hf", "huggingface_hub", "", "which is installed in another version"),
    ],
)
def test_a_library_that_is_missing_or_too_old_is_named(scheme, library, content, says, tmp_path):
    (tmp_path / f"{library}.py").write_text(content)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    command = [sys.executable, "-m", "initctl", "inspect", f"{scheme}://org/name/net"]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert ran.returncode == 3
    assert f"{scheme}:// needs {library}, {says}" in ran.stderr
    assert "pip install 'initctl[remote]'" in ran.stderr
