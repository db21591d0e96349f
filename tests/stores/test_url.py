"""URLs of stores, and of files on this machine."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import initctl
from initctl.errors import UsageError
from initctl.stores.url import Url, without_file_scheme, without_secrets
from tests.cli.checkpoints import NET, checkpoint


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
    with pytest.raises(UsageError, match="must not contain credentials") as refused:
        initctl.inspect(text)
    assert "canary" not in str(refused.value)


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
