"""The JSON API of Google Cloud Storage: one bucket, asked by requests, and what its answers mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from google.auth.exceptions import GoogleAuthError, TransportError
from google.auth.transport.requests import AuthorizedSession
from requests.adapters import HTTPAdapter
from requests.exceptions import JSONDecodeError
from urllib3.exceptions import HTTPError
from urllib3.util import Retry

from initctl.errors import InitctlError, InputError, Problem, StorageError, shown
from initctl.stores import refusals
from initctl.stores.per_process import PerProcess
from initctl.stores.store import Stored

if TYPE_CHECKING:
    import requests

_CONNECTIONS = 32
RETRIES, PAUSE = 5, 0.5
"""Repetitions of a request that is throttled or fails on its way, and the seconds before the second of them. Each later
one waits twice as long.
"""
AGAIN = {408, 429, 500, 502, 503, 504}
GONE, _CHANGED, _DENIED, _GRANTED = {404, 410}, {412}, {401, 403}, range(200, 300)
"""Statuses of HTTP. Requests that end with one in `AGAIN` may be repeated."""
_REPEATED = Retry(
    RETRIES,
    allowed_methods={"GET", "DELETE"},
    status_forcelist=AGAIN,
    backoff_factor=PAUSE,
    raise_on_status=False,
    respect_retry_after_header=False,  # it may name an hour
)
_TIMEOUT = 120
"""Seconds without a byte of an answer, and for sending all that a request sends."""
FIELDS = "name,size,generation,timeCreated"
"""What `stored_of` takes."""
CREDENTIALS = "the credentials that are configured"
LOG_IN = "run gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS"
_EMULATOR = "check the network, and STORAGE_EMULATOR_HOST if it is set"
_NETWORK = "check the network; STORAGE_EMULATOR_HOST names another server"


class Api:
    """A bucket of a `server`, which `is_open` if it asks for no credentials. Nothing is asked of it yet."""

    def __init__(self, bucket: str, connect: Callable[[], requests.Session], server: str, *, is_open: bool) -> None:
        self.bucket, self._connect, self._server, self._is_open = bucket, connect, server, is_open
        self._session = PerProcess(self._connected)

    def _connected(self) -> requests.Session:
        session = self._connect()
        session.auth = _unchanged
        session.mount(self._server, HTTPAdapter(pool_maxsize=_CONNECTIONS, max_retries=_REPEATED))
        once = HTTPAdapter(pool_maxsize=_CONNECTIONS)
        session.mount(f"{self._server}/upload/", once)  # who sends must look what arrived
        return session

    def remove(self, stored: Stored) -> None:
        url, only = self.url(stored.name), {"ifGenerationMatch": stored.version}
        with refusing(url):
            answer = self.ask("DELETE", self.address(stored.name), params=only)
        if answer.status_code in _CHANGED and self.metadata(stored.name, "name") is not None:
            raise refusals.replaced(url)
        if answer.status_code not in {*_GRANTED, *GONE, *_CHANGED}:
            raise self.failure(answer, url, StorageError)

    def metadata(self, name: str, fields: str) -> dict[str, Any] | None:
        """Those `fields` of the object `name`, if there is one."""
        with refusing(self.url(name)):
            answer = self.ask("GET", self.address(name), params={"fields": fields})
            return None if answer.status_code in GONE else {**self.checked(answer, self.url(name)).json()}

    def ask(self, method: str, address: str, **asked: Any) -> requests.Response:  # noqa: ANN401 - as requests takes it
        """The answer of the server. Use it within `refusing`."""
        return self._session().request(method, address, timeout=_TIMEOUT, allow_redirects=False, **asked)

    def checked(self, answer: requests.Response, url: str) -> requests.Response:
        """`answer`, which is about `url`. Raises `InputError` or `StorageError` if it is a refusal."""
        if answer.status_code in _GRANTED:
            return answer
        raise refusals.missing(url) if answer.status_code in GONE else self.failure(answer, url, InputError)

    def failure(self, answer: requests.Response, url: str, denied: type[InitctlError]) -> InitctlError:
        """The error for a request that the store denied, or that failed, whatever it asked for."""
        is_anonymous = not self._is_open and not isinstance(self._session(), AuthorizedSession)
        if answer.status_code in _DENIED and is_anonymous:
            return refusals.without_credentials(url, LOG_IN)
        return refusals.failure(url, answer.status_code, _reason(answer), LOG_IN, denied)

    def address(self, name: str | None = None, service: str = "") -> str:
        """Where the server has the object `name`, or the list of all objects, for one of its services."""
        place = f"{self._server}{service}/storage/v1/b/{quote(self.bucket, safe='')}/o"
        return place if name is None else f"{place}/{quote(name, safe='')}"

    def url(self, name: str) -> str:
        return f"gs://{self.bucket}/{name}"


@contextmanager
def refusing(url: str) -> Iterator[None]:
    """Turn whatever the libraries raise into errors of this package. Their own texts are not shown: they contain
    addresses, and the address of an upload is a secret.
    """
    try:
        yield
    except refusals.PASSED:
        raise
    except TransportError as error:
        raise refusals.unreachable(url, error, _NETWORK) from None
    except GoogleAuthError:
        fault = f"{shown(url)}: {CREDENTIALS} cannot be used"
        raise StorageError(Problem("store.credentials", fault, LOG_IN)) from None
    except JSONDecodeError:  # an OSError, too
        raise refusals.odd_answer(url, _EMULATOR) from None
    except (OSError, HTTPError, UnicodeError) as error:
        raise refusals.unreachable(url, error, _NETWORK) from None
    except (ValueError, LookupError, TypeError, AttributeError):
        raise refusals.odd_answer(url, _EMULATOR) from None
    except Exception as error:  # noqa: BLE001 - whatever reads new credentials, for instance, when the old ones expire
        raise refusals.unreachable(url, error, _NETWORK) from None


def _unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """`request` as it is: without a name and a password from a netrc file, which would replace a token."""
    return request


def stored_of(found: dict[str, Any]) -> Stored:
    """An object as the store describes it. New content has a new generation, which was made at this time."""
    made = datetime.fromisoformat(found["timeCreated"])
    return Stored(str(found["name"]), int(found["size"]), str(found["generation"]), int(made.timestamp()))


def _reason(answer: requests.Response) -> str:
    """The store's own code of an error, or the status."""
    try:
        reason: str = answer.json()["error"]["errors"][0]["reason"]
    except (ValueError, LookupError, TypeError):
        return str(answer.status_code)
    return reason
