"""What cannot be used of credentials and configuration is said in one line, without what may be a secret."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from threading import Barrier, Thread

import pytest

import initctl
from initctl.cli.signals import Ended
from initctl.errors import InputError, Problem, StorageError, UsageError
from initctl.stores.per_process import PerProcess
from tests.stores.servers import BUCKET

S3 = f"s3://{BUCKET}/net.safetensors"
GS = f"gs://{BUCKET}/net.safetensors"
ROLE = "role_arn = arn:aws:iam::123456789012:role/canary"
FILES = {
    "nothing that can be read": "[default\ncanary",
    "a text for a section": "s3 = canary",
    "a region that is none": "region = us east canary",
    "no program": "credential_process = /canary/none",
    "a program that fails": "credential_process = false canary",
    "a program that says nothing": "credential_process = true",
    "a program that says a list": "credential_process = echo [1]",
    "a program that says null": "credential_process = echo null",
    "a quote that does not end": "credential_process = echo 'canary",
    "no token": f"web_identity_token_file = /canary/none\n{ROLE}",
    "no source": f"source_profile = canary\n{ROLE}",
}
"""Of AWS."""
EXPIRED = {"Version": 1, "AccessKeyId": "canary", "SecretAccessKey": "canary", "Expiration": "2001-01-01T00:00:00Z"}
FILES["a program whose answer has expired"] = f"credential_process = echo '{json.dumps(EXPIRED)}'"
ENVIRONMENTS = {
    "AWS_ENDPOINT_URL": "canary",
    "AWS_PROFILE": "canary",
    "AWS_REQUEST_CHECKSUM_CALCULATION": "canary",
}
KEYS = {
    "list": [],
    "null": None,
    "text": "canary",
    "empty": {},
    "impersonated": {"type": "impersonated_service_account"},
}
"""Of Google."""


@pytest.fixture(autouse=True)
def no_buckets(monkeypatch):
    """As in a new process."""
    monkeypatch.setattr("initctl.stores.mirror._tops", {})


@pytest.fixture
def aws(monkeypatch, tmp_path):
    """Lets a text be the whole configuration of AWS, as a new process would read it."""
    boto3 = pytest.importorskip("boto3")

    def configure(text):
        (tmp_path / "config").write_text(text if text.startswith("[") else f"[default]\n{text}\n")

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setattr("initctl.stores.s3._session", PerProcess(boto3.Session))
    return configure


def refused(url):
    """The problem for which a checkpoint is refused with status 5."""
    with pytest.raises(StorageError) as failed:
        initctl.inspect(url)
    assert "canary" not in str(failed.value)
    return failed.value.problems[0]


@pytest.mark.parametrize("content", FILES)
def test_a_file_of_aws_that_cannot_be_used_is_named(content, aws):
    aws(FILES[content])
    problem = refused(S3)
    assert problem.code == "store.credentials"
    assert problem.message.startswith("s3://bucket: the configuration of AWS cannot be used: ")
    assert "~/.aws" in problem.hint


@pytest.mark.parametrize("variable", ENVIRONMENTS)
def test_a_variable_of_aws_that_cannot_be_used_is_named(variable, aws, monkeypatch):
    aws("aws_access_key_id = canary\naws_secret_access_key = canary")
    monkeypatch.setenv(variable, ENVIRONMENTS[variable])
    problem = refused(S3)
    assert problem.code == "store.credentials"
    assert "AWS_" in str(problem)


def test_without_a_terminal_no_code_of_mfa_is_asked_for(aws):
    keys = "[profile source]\naws_access_key_id = canary\naws_secret_access_key = canary"
    aws(f"[default]\n{ROLE}\nsource_profile = source\nmfa_serial = arn:aws:iam::1:mfa/x\n{keys}")
    command = [sys.executable, "-m", "initctl", "inspect", S3]
    ran = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, start_new_session=True)
    assert ran.returncode == 5
    assert ran.stderr.startswith("initctl: error: s3://bucket: AWS asks for an MFA code")


def test_a_name_that_s3_never_has_is_not_a_fault_of_the_network(aws):
    aws("aws_access_key_id = canary\naws_secret_access_key = canary")
    with pytest.raises(UsageError, match=r"^s3://arn:.*: is not a name that S3 allows; .*alias"):
        initctl.inspect("s3://arn:aws:s3:us-east-1:123456789012:accesspoint/canary/net.safetensors")


@pytest.mark.parametrize("content", KEYS)
def test_a_key_of_google_that_cannot_be_used_is_named(content, monkeypatch, tmp_path):
    pytest.importorskip("google.auth")
    (tmp_path / "key.json").write_text(json.dumps(KEYS[content]))
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    problem = refused(GS)
    assert problem.code == "store.credentials"
    assert problem.message.startswith("gs://bucket: the credentials that are configured cannot be used: ")


def test_a_variable_with_which_a_library_cannot_be_imported_is_hinted_at():
    pytest.importorskip("huggingface_hub")
    environment = {**os.environ, "HF_HUB_ETAG_TIMEOUT": "canary"}
    command = [sys.executable, "-m", "initctl", "inspect", "hf://org/name"]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert ran.returncode == 5
    assert "hf:// needs huggingface_hub, which cannot be imported: ValueError; check the variables" in ran.stderr
    assert "canary" not in ran.stderr


def test_a_proxy_that_has_no_address_is_unreachable(hub_server, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example")
    monkeypatch.setenv("HTTPS_PROXY", "http://canary:canary@127.0.0.1:canary")
    from huggingface_hub.utils import close_session

    close_session()
    assert refused("hf://org/name").code == "store.unreachable"
    close_session()


@pytest.mark.parametrize("error", [MemoryError(), Ended(2), InputError(Problem("x", "x"))], ids=type)
@pytest.mark.parametrize("module", ["s3_api", "gs_api", "hf_api"])
def test_what_is_not_the_library_s_is_raised_as_it_is(module, error):
    refusing = pytest.importorskip(f"initctl.stores.{module}").refusing
    with pytest.raises(type(error)) as raised, refusing(S3):
        raise error
    assert raised.value is error


def test_threads_of_a_process_share_what_is_made():
    made, found, together = [], [], Barrier(8)

    def make():
        made.append(None)
        return object()

    per_process = PerProcess(make)

    def ask():
        together.wait()
        found.append(per_process())

    threads = [Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == len({*found}) == 1
