"""`--html FILE`: a page beside the report; and if it cannot be written, nothing else is lost."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.cli.checkpoints import checkpoint
from tests.cli.processes import messages, shell, small_files
from tests.cli.test_hostile_names import HOSTILE, SHOWN
from tests.hostile import is_safe
from tests.page.documents import Document
from tests.page.test_rendering import MARKUP

COMMANDS = {
    "stats": ("stats", "m.safetensors"),
    "plan": ("plan", "m.safetensors", "-r", "*=normal"),
    "diff": ("diff", "m.safetensors", "n.safetensors"),
    "doctor": ("doctor", "m.safetensors", "--fresh"),
    "apply": ("apply", "m.safetensors", "-o", "out.safetensors", "-r", "*=normal"),
}


@pytest.fixture
def weights(folder):
    torch.manual_seed(0)
    names = [f"layers.{layer}.{name}" for layer in range(3) for name in ("fc.weight", "out.weight")]
    weights = {name: torch.randn(20, 30) for name in names} | {"fc.bias": torch.zeros(3)}
    weights["layers.0.fc.weight"][0, 0] = torch.nan
    save_file(weights, folder / "m.safetensors")
    save_file({name: weight + 1 for name, weight in weights.items()}, folder / "n.safetensors")
    return folder


@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS)
class TestEveryCommand:
    def test_writes_one_page_beside_its_report(self, weights, call, arguments):
        plain = call(*arguments)
        (weights / "out.safetensors").unlink(missing_ok=True)
        done = call(*arguments, "--html", "p.html")
        assert done == plain
        assert done.err == ""
        document = Document((weights / "p.html").read_text())
        assert document.fetched == []
        heading, *rows = document.rows
        assert heading[0] == "tensor"
        names = sorted(load_file("m.safetensors"))
        assert [row[0] for row in rows] == (["layers.0.fc.weight"] if arguments[0] == "doctor" else names)

    def test_shows_hostile_names_as_they_are_shown_everywhere(self, folder, call, arguments):
        names = [*HOSTILE, *MARKUP.values()]
        zeros = checkpoint(folder / "m.safetensors", dict.fromkeys(names, ("F32", (2, 2)))).read_bytes()
        header = 8 + int.from_bytes(zeros[:8], "little")
        (folder / "n.safetensors").write_bytes(zeros[:header] + b"\1" * (len(zeros) - header))
        assert call(*arguments, "--html", "p.html").status == call(*arguments).status
        text = (folder / "p.html").read_text()
        assert is_safe(text)
        document = Document(text)
        shown = {SHOWN.get(name, name).replace(r":\x3a", "::") for name in names}
        listed = {row[0].replace(r":\x3a", "::") for row in document.rows[1:]}
        assert listed == shown or (arguments[0] == "doctor" and listed < shown)
        assert len(document.named("script")) == 1
        assert not document.named("img")

    @pytest.mark.parametrize(("place", "status"), [("none/p.html", 5), ("m.safetensors/p.html", 5), (".", 2)])
    def test_refuses_a_place_that_cannot_be_written_before_it_begins(self, weights, call, arguments, place, status):
        done = call(*arguments, "--html", place)
        assert (done.status, done.out) == (status, "")
        assert len(messages(done.err)) == 1
        assert done.err.startswith(f"initctl: error: {place}: ")
        assert not (weights / "out.safetensors").exists()

    def test_refuses_to_replace_another_kind_of_file(self, weights, call, arguments):
        before = (weights / "m.safetensors").read_bytes()
        done = call(*arguments, "--html", "m.safetensors")
        assert done.status == 6
        assert "m.safetensors: exists and is not a page" in done.err
        assert (weights / "m.safetensors").read_bytes() == before


SMALL = small_files(4)
"""The checkpoint has room, and the page has not."""


class TestAPageThatCannotBeWrittenToItsEnd:
    def test_leaves_the_report(self, net, call):
        plain = call("stats", "net.safetensors")
        done = shell(f"{SMALL}initctl stats net.safetensors --html p.html")
        assert (done.status, done.out) == (5, plain.out)
        assert done.err == "initctl: error: p.html: cannot be written: File too large\n"
        assert not net.with_name("p.html").exists()

    def test_leaves_the_data(self, net, call):
        plain = call("stats", "net.safetensors", "--json").document
        document = shell(f"{SMALL}initctl stats net.safetensors --html p.html --json").document
        assert (document["exit_code"], document["status"]) == (5, "error")
        assert document["data"] == plain["data"]
        assert [error["code"] for error in document["errors"]] == ["storage.failed"]

    def test_leaves_the_result_which_the_status_says(self, net, call):
        done = shell(f"{SMALL}initctl apply net.safetensors -o out.safetensors -r '*.weight=ones' --html p.html")
        assert done.status == 7
        fault = "out.safetensors: was written, but its page was not: p.html: cannot be written: File too large"
        assert done.err == f"initctl: error: {fault}\n"
        assert done.out.endswith("wrote out.safetensors (1 file)\n")
        assert (load_file(net.with_name("out.safetensors"))["fc1.weight"] == 1).all()
