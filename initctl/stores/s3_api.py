"""What boto3 says, as this package says it: a bucket that is asked, and errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from getpass import GetPassWarning
from typing import Any

from botocore.exceptions import (
    ClientError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
)

from initctl.errors import InitctlError, InputError, Problem, StorageError, UsageError, shown
from initctl.stores import refusals
from initctl.stores.per_process import PerProcess

_HINT = "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; AWS_ENDPOINT_URL for another server"
_CONFIGURED = (
    "check AWS_ENDPOINT_URL, the other variables AWS_* and the files in ~/.aws; aws sts get-caller-identity says more"
)
_NETWORK = "check the network, and AWS_ENDPOINT_URL (https://HOST) if it is set"
_NO_BUCKET = "NoSuchBucket"
GONE, CHANGED = {404}, {412}
"""Statuses of HTTP."""


class Api:
    """A bucket, and the client of boto3 that asks for it."""

    def __init__(self, bucket: str, make_client: Callable[[], Any]) -> None:
        self.bucket = bucket
        self._client = PerProcess(make_client)

    @property
    def client(self) -> Any:  # noqa: ANN401 - boto3 makes its classes when it runs
        """The client of this process. Raises `StorageError` if one cannot be made with what is configured."""
        return self._client()

    def url(self, name: str) -> str:
        """How messages call the object `name`."""
        return f"s3://{self.bucket}/{name}"


@contextmanager
def configuring(url: str) -> Iterator[None]:
    """Turn whatever the body raises, which makes a client, into errors of this package."""
    with refusals.configuring(url, "the configuration of AWS", _CONFIGURED):
        try:
            yield
        except ProfileNotFound:
            fault = f"{shown(url)}: the profile that AWS_PROFILE names does not exist"
            raise StorageError(Problem("store.credentials", fault, "aws configure list-profiles lists them")) from None
        except PartialCredentialsError:
            raise refusals.without_credentials(url, _HINT) from None
        except GetPassWarning:
            fault = f"{shown(url)}: AWS asks for an MFA code, and there is no terminal to type it in"
            hint = "log in first, and set AWS_SESSION_TOKEN with its two keys"
            raise StorageError(Problem("store.credentials", fault, hint)) from None


@contextmanager
def refusing(url: str, gone: InitctlError | None = None) -> Iterator[None]:
    """Turn whatever boto3 raises into errors of this package. Its own texts are not shown: they may contain addresses.

    If `gone` is given, it is raised if the object is not there.
    """
    try:
        yield
    except refusals.PASSED:
        raise
    except ClientError as error:
        if gone and status_of(error) in GONE:
            raise gone from None
        raise _refusal(url, error) from None
    except NoCredentialsError:
        raise refusals.without_credentials(url, _HINT) from None
    except ParamValidationError:
        hint = "write s3://BUCKET/KEY; name an access point by its alias"
        raise UsageError(Problem("usage.url", f"{shown(url)}: is not a name that S3 allows", hint)) from None
    except LookupError:
        raise refusals.odd_answer(url, "check AWS_ENDPOINT_URL") from None
    except Exception as error:  # noqa: BLE001 - whatever reads new credentials, for instance, when the old ones expire
        address = str(getattr(error, "kwargs", {}).get("endpoint_url", ""))
        raise refusals.unreachable(url, error, _NETWORK, address) from None


def _refusal(url: str, error: ClientError) -> InitctlError:
    status = status_of(error)
    if status in CHANGED:
        return refusals.changed(url)
    if code_of(error) == _NO_BUCKET:
        return refusals.without_bucket(url)
    if status in GONE:
        return refusals.missing(url)
    return failure(url, error, InputError)


def failure(url: str, error: ClientError, denied: type[InitctlError]) -> InitctlError:
    """The error for a request that the store denied, or that failed, whatever it asked for."""
    return refusals.failure(url, status_of(error), code_of(error), _HINT, denied)


def code_of(error: ClientError) -> str:
    """The store's own code of an error."""
    found: str = error.response.get("Error", {}).get("Code", "")
    return found


def status_of(error: ClientError) -> int | None:
    """The status of HTTP."""
    found: int | None = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return found
