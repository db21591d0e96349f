"""What is Google's own: generations, stored encodings, names, pages, credentials."""

from __future__ import annotations

import builtins
import gzip
import json
import sys

import pytest
import torch
from safetensors.torch import save, save_file

import initctl
from initctl.commit.copying import read_into
from initctl.errors import InputError, StorageError
from initctl.formats.opening import opened
from initctl.stores.mirror import mirrored
from initctl.stores.url import Url
from tests.stores.servers import BUCKET, Fault

CONTENT = save({"fc.weight": torch.arange(12.0).reshape(3, 4), "fc.bias": torch.zeros(3)})
TOKEN = "Bearer canary-token"


@pytest.fixture
def server(gs_server):
    return gs_server


@pytest.fixture
def key(tmp_path_factory):
    """A file with the key of a service account, whose tokens this machine gives."""
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    private = rsa.generate_private_key(65537, 2048)

    def made(address):
        account = {
            "type": "service_account",
            "client_email": "canary@example.org",
            "private_key_id": "canary-id",
            "private_key": private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
            "token_uri": f"{address}/token",
        }
        path = tmp_path_factory.mktemp("account") / "key.json"
        path.write_text(json.dumps(account))
        return str(path)

    return made


@pytest.fixture
def real(server, tmp_path, monkeypatch):
    """Google's server as far as the module knows, on a machine without credentials."""
    import os

    address = os.environ["STORAGE_EMULATOR_HOST"]
    monkeypatch.delenv("STORAGE_EMULATOR_HOST")
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setattr("initctl.stores.gs._SERVER", address)
    server.put("net.safetensors", CONTENT)
    return address


def inspect(name="net.safetensors"):
    return initctl.inspect(f"gs://{BUCKET}/{name}")


def test_a_list_of_many_pages_is_read_to_its_end(server):
    names = [f"net/{number:03}.safetensors" for number in range(23)]
    for name in names:
        server.put(name, CONTENT)
    from initctl.stores.gs import opened as bucket

    assert [stored.name for stored in bucket(BUCKET).below("net/", is_deep=True)] == names


def test_only_a_deep_list_has_what_is_in_folders(server):
    for name in ("net/a/b", "net/c", "net/d/e"):
        server.put(name, CONTENT)
    from initctl.stores.gs import opened as bucket

    listed = [[one.name for one in bucket(BUCKET).below("net/", is_deep=is_deep)] for is_deep in (False, True)]
    assert listed == [["net/c"], ["net/a/b", "net/c", "net/d/e"]]


@pytest.mark.parametrize(
    "name", ["a b+c%41.safetensors", "ü&=,;~:.safetensors", "%2F.safetensors", "a\\b'\"c.safetensors"]
)
def test_an_object_may_have_any_name_that_a_file_has(server, name):
    server.put(f"net/{name}", CONTENT)
    assert len(inspect(f"net/{name}").tensors) == len(inspect("net").tensors) == 2


def test_an_object_that_is_stored_compressed_is_read_as_it_is_stored(server):
    server.put("net.safetensors", gzip.compress(CONTENT), contentEncoding="gzip")
    with pytest.raises(InputError, match=r"^gs://bucket/net\.safetensors: .*gzip"):
        inspect()


def test_a_server_that_ignores_ranges_is_refused(server):
    server.put("net.safetensors", CONTENT)
    server.has_ranges = False
    with pytest.raises(StorageError, match=r"^gs://bucket/net\.safetensors: the store does not answer requests for r"):
        inspect()


def test_a_change_of_the_metadata_alone_is_not_a_change(server, tmp_path):
    server.put("net.safetensors", CONTENT)
    plan = initctl.plan(f"gs://{BUCKET}/net.safetensors", rules=["fc.bias=ones"])
    server.describe("net.safetensors")
    initctl.apply(plan, tmp_path / "out.safetensors")
    assert (tmp_path / "out.safetensors").exists()


def test_what_arrived_before_a_connection_broke_is_not_asked_for_again(server):
    content = bytes(range(256)) * 400
    server.put("net", content)
    with opened(mirrored(Url.parse(f"gs://{BUCKET}/net"))) as (descriptor, _):
        server.asked.clear()
        server.breaking, room = 3, bytearray(len(content))
        read_into(descriptor, memoryview(room), 0)
    assert bytes(room) == content
    starts = [int(one.range.removeprefix("bytes=").partition("-")[0]) for one in server.asked]
    assert starts == [0, 51_200, 76_800, 89_600]


def test_the_address_of_a_server_may_lack_a_scheme(server, monkeypatch):
    server.put("net.safetensors", CONTENT)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.upstream.removeprefix("http://"))
    assert len(inspect().tensors) == 2


def test_a_server_that_is_not_there_is_unreachable(server, monkeypatch):
    monkeypatch.setattr("initctl.stores.gs_api._REPEATED", 0)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    with pytest.raises(StorageError, match="the store cannot be reached: ConnectionError") as failed:
        inspect()
    assert "127.0.0.1" not in str(failed.value)


def test_a_token_is_sent_with_each_request(server, real, key, monkeypatch):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", key(real))
    assert len(inspect().tensors) == 2
    assert server.authorized == {TOKEN}


def test_a_token_that_has_expired_is_renewed(server, real, key, monkeypatch):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", key(real))
    server.faults.append(Fault(lambda method, _: method == "GET", 401))
    assert len(inspect().tensors) == 2


def test_without_credentials_public_objects_are_read(server, real):
    assert len(inspect().tensors) == 2
    assert server.authorized == {None}


@pytest.mark.parametrize("status", [401, 403])
def test_without_credentials_other_objects_need_them(server, real, status):
    server.faults.append(Fault(lambda method, _: method == "GET", status))
    with pytest.raises(StorageError, match=r"net\.safetensors: no credentials are configured") as refused:
        inspect()
    assert refused.value.problems[0].code == "store.credentials"


def test_a_key_that_is_not_there_is_not_ignored(server, real, monkeypatch):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/canary/none.json")
    with pytest.raises(StorageError, match="the credentials that are configured cannot be used") as refused:
        inspect()
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    ("method", "status", "error", "code"),
    [
        ("POST", 400, StorageError, "store.credentials"),
        ("POST", None, StorageError, "store.unreachable"),
        ("GET", 403, InputError, "store.denied"),
        ("GET", 400, StorageError, "store.failed"),
    ],
)
def test_no_message_has_a_secret(server, real, key, monkeypatch, method, status, error, code):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", key(real))
    server.faults.append(Fault(lambda found, _: found == method, status, "odd", times=99))
    with pytest.raises(error) as refused:
        inspect()
    assert refused.value.problems[0].code == code
    assert str(refused.value).startswith(f"gs://{BUCKET}")
    assert not [word for word in ("canary", "Bearer", "127.0.0.1") if word in str(refused.value)]


def test_a_netrc_file_is_not_read(server, real, key, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("default login canary password canary\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", key(real))
    assert len(inspect().tensors) == 2
    assert server.authorized == {TOKEN}


@pytest.mark.parametrize("package", ["google", "google.auth", "requests"])
def test_without_its_packages_the_extra_is_proposed(package, monkeypatch):
    def importing(name, *arguments):
        if name == package or name.startswith(f"{package}."):
            raise ModuleNotFoundError(name=package)
        return as_usual(name, *arguments)

    as_usual = builtins.__import__
    monkeypatch.delitem(sys.modules, "initctl.stores.gs", raising=False)
    monkeypatch.setattr(builtins, "__import__", importing)
    with pytest.raises(InputError, match=r"gs:// needs google-auth, .*; pip install 'initctl\[remote\]'"):
        inspect()


def test_a_file_and_its_copy_in_the_store_have_no_difference(server, tmp_path):
    save_file({"a": torch.randn(100, 1000), "b": torch.ones(3)}, tmp_path / "net.safetensors")
    server.put("net.safetensors", (tmp_path / "net.safetensors").read_bytes())
    assert not initctl.diff(f"gs://{BUCKET}/net.safetensors", tmp_path / "net.safetensors").differ
