"""An answer that is not a store's, such as a proxy's page, is not a bug of initctl."""

from __future__ import annotations

import json

import pytest

import initctl
from initctl.errors import StorageError
from tests.stores.servers import running

STORES = {
    "s3": ("s3_server", "AWS_ENDPOINT_URL", "s3://bucket/net.safetensors"),
    "gs": ("gs_server", "STORAGE_EMULATOR_HOST", "gs://bucket/net.safetensors"),
    "hf": ("hub_server", "HF_ENDPOINT", "hf://org/name/net.safetensors"),
}
"""For each, its server, the variable that has its address, and a URL."""
OBJECT = {"name": "net.safetensors", "size": "9", "generation": "1", "timeCreated": "2026-01-01T00:00:00Z"}
PAGE = b"<html>canary</html>"
ANSWERS = [
    ("s3", "a page", PAGE),
    *((store, "a page", PAGE) for store in ("gs", "hf")),
    *(
        (store, json.dumps(found), json.dumps(found).encode())
        for store in ("gs", "hf")
        for found in ({}, [], None, "canary", 5)
    ),
    *(
        ("gs", f"{name} {found}", json.dumps({**OBJECT, name: found}).encode())
        for name, found in (("size", "canary"), ("size", None), ("timeCreated", "canary"), ("timeCreated", None))
    ),
    ("hf", "files", json.dumps({"id": "org/name", "sha": "a" * 40, "siblings": 5}).encode()),
]


class Elsewhere:
    """A server that answers every request with status 200 and `body`."""

    body = b""

    def __call__(self, environ, start_response):
        start_response("200 OK", [("Content-Type", "text/html")])
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else self.body]


@pytest.fixture(scope="module")
def elsewhere():
    server = Elsewhere()
    with running(server) as address:
        yield server, address


@pytest.fixture
def answered(request, elsewhere, monkeypatch):
    """Lets `store` be a server that answers with `body`, and gives the URL of an object there."""
    server, address = elsewhere

    def answered(store, body):
        name, variable, url = STORES[store]
        request.getfixturevalue(name)
        server.body = body
        monkeypatch.setenv(variable, address)
        return url

    return answered


@pytest.mark.parametrize(("store", "what", "body"), ANSWERS, ids=[f"{store}-{what}" for store, what, _ in ANSWERS])
def test_an_answer_that_is_not_a_store_s_is_said_to_be_none(store, what, body, answered):
    url = answered(store, body)
    with pytest.raises(StorageError, match=r"^\S+: the answer is not that of a store; check ") as refused:
        initctl.inspect(url)
    assert STORES[store][1] in str(refused.value)
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("found", [[], {"items": None}, {"items": [{}]}, {"items": 5}], ids=json.dumps)
def test_a_list_of_another_shape_is_not_a_store_s(found, answered):
    from initctl.stores.gs import opened

    answered("gs", json.dumps(found).encode())
    with pytest.raises(StorageError, match=r"^gs://bucket/net: the answer is not that of a store"):
        list(opened("bucket").below("net/", is_deep=True))


def test_a_commit_whose_name_is_not_a_text_is_refused(answered):
    url = answered("hf", json.dumps({"id": "org/name", "sha": 5}).encode())
    with pytest.raises(StorageError, match=r"^hf://org/name: the Hub names no commit"):
        initctl.inspect(url)
