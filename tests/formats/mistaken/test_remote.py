"""A model that is not on this machine is named as such, and so is how to get it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from initctl.errors import InputError
from initctl.formats import read_checkpoint

if TYPE_CHECKING:
    from pathlib import Path

ONLY = "initctl reads only local checkpoints and URLs of s3://, gs:// and hf://"
PAGE = "is a page of the Hugging Face Hub"
NAMES = {
    "meta-llama/Llama-3.1-8B": (
        "file.missing",
        "no such file or directory",
        "if it is a model on the Hugging Face Hub, name it hf://meta-llama/Llama-3.1-8B",
    ),
    "https://huggingface.co/google-bert/bert-base-uncased/resolve/main/model.safetensors": (
        "file.remote",
        PAGE,
        "name it hf://google-bert/bert-base-uncased/model.safetensors",
    ),
    "https://huggingface.co/org/name/blob/main/unet/model.safetensors": (
        "file.remote",
        PAGE,
        "name it hf://org/name/unet/model.safetensors",
    ),
    "https://huggingface.co/org/name/tree/v1.0/unet": ("file.remote", PAGE, "name it hf://org/name@v1.0/unet"),
    "https://huggingface.co/org/name/tree/refs/pr/3": ("file.remote", PAGE, "name it hf://org/name@refs/pr/3"),
    "https://hf.co/datasets/org/name": ("file.remote", PAGE, "name it hf://datasets/org/name"),
    "https://huggingface.co/gpt2/resolve/main/model.safetensors?download=true": (
        "file.remote",
        f"is on the Hugging Face Hub, but {ONLY}",
        "download it first: hf download gpt2 model.safetensors",
    ),
    "https://huggingface.co/gpt2/tree/main": (
        "file.remote",
        f"is on the Hugging Face Hub, but {ONLY}",
        "download it first: hf download gpt2",
    ),
    "huggingface.co/gpt2": (
        "file.remote",
        f"is on the Hugging Face Hub, but {ONLY}",
        "download it first: hf download gpt2",
    ),
    "az://account/container/model": (
        "file.remote",
        f"is a URL, but {ONLY}",
        "download it first: azcopy copy URL DIRECTORY --recursive",
    ),
    "https://example.org/m.pt": (
        "file.remote",
        f"is a URL, but {ONLY}",
        "download it first: curl -LO URL",
    ),
    "hdfs://host/m": (
        "file.remote",
        f"is a URL, but {ONLY}",
        "download it first",
    ),
}


@pytest.fixture(autouse=True)
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def refusal(path: str) -> tuple[str, str, str | None]:
    with pytest.raises(InputError) as raised:
        read_checkpoint(path)
    (problem,) = raised.value.problems
    assert problem.message.startswith(f"{path.partition('?')[0]}: ")
    return problem.code, problem.message.removeprefix(f"{path.partition('?')[0]}: "), problem.hint


@pytest.mark.parametrize(("name", "expected"), NAMES.items(), ids=NAMES)
def test_a_model_that_is_somewhere_else_is_named_and_so_is_the_way_to_it(name: str, expected: tuple[str, str, str]):
    assert refusal(name) == expected


@pytest.mark.parametrize(
    "path", ["model.safetensors", "out/model.safetensors", "a/b/c", "./a/b", "/a/b", "../a/b", "a b/c", "~/m", "m"]
)
def test_a_path_is_missing_and_no_more(path: str):
    assert refusal(path)[:2] == ("file.missing", "no such file or directory")


def test_a_name_below_a_directory_that_is_there_is_a_path(tmp_path: Path):
    (tmp_path / "runs").mkdir()
    assert refusal("runs/last")[:2] == ("file.missing", "no such file or directory")


def test_what_is_there_is_read_whatever_it_is_called(tmp_path: Path):
    (tmp_path / "meta-llama").mkdir()
    (tmp_path / "meta-llama" / "Llama").mkdir()
    assert refusal("meta-llama/Llama")[1] == "contains no files"


@pytest.mark.parametrize("url", ["https://name:canary@example.org/m.pt", "https://example.org/m.pt?Signature=canary"])
def test_credentials_in_a_url_are_not_repeated(url: str):
    with pytest.raises(InputError, match=r"^https://example\.org/m\.pt: is a URL") as raised:
        read_checkpoint(url)
    assert "canary" not in str(raised.value)
