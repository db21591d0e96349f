"""A store at the end of a slow line: moto's server of S3, which takes its time for each part."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.stores.servers import BUCKET, Server, running

if TYPE_CHECKING:
    from collections.abc import Iterator

_RATE = 2 << 20
"""Bytes of a part in a second."""


class SlowServer(Server):
    def __call__(self, environ, start_response):
        if "partNumber" in environ["QUERY_STRING"]:
            time.sleep(int(environ.get("CONTENT_LENGTH") or 0) / _RATE)
        return super().__call__(environ, start_response)


@contextmanager
def slow_store() -> Iterator[str]:
    """The URL of a new object in such a store, for processes that are started during the block."""
    server = SlowServer()
    with running(server) as url:
        os.environ |= {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "id",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        server.begin()
        yield f"s3://{BUCKET}/out.safetensors"
        server.end()
