"""What becomes of OUT: replaced in one step, or left as it was."""

from __future__ import annotations

import os

import pytest
from safetensors.numpy import load_file

import initctl
from tests.cli.checkpoints import OLD, shards

RULES = ("-r", "*.bias=ones")
OUT = ("-o", "out.safetensors")


@pytest.fixture
def old(net):
    """A file that stands where the result goes."""
    path = net.with_name("out.safetensors")
    path.write_bytes(OLD)
    return path


def entries(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_is_there_is_replaced_in_one_step(call, net, old):
    with open(old, "rb") as reader:
        assert call("apply", "net.safetensors", "-o", "out.safetensors", *RULES).status == 0
        assert reader.read() == OLD  # who had opened it still sees the whole of what it was
    assert load_file(old)["fc1.bias"].all()
    assert entries(net.parent) == ["net.safetensors", "out.safetensors"]


def test_it_is_replaced_again_by_the_same(call, net):
    call("apply", "net.safetensors", "-o", "out.safetensors", *RULES)
    first = net.with_name("out.safetensors")
    content = first.read_bytes()
    os.utime(first, (1, 1))
    assert call("apply", "net.safetensors", "-o", "out.safetensors", *RULES).status == 0
    assert first.read_bytes() == content
    assert first.stat().st_mtime > 1  # as `make` wants it


def test_no_clobber_refuses_to_replace_and_goes_on_where_nothing_is(call, net, old):
    refused = call("apply", "net.safetensors", "-o", "out.safetensors", "--no-clobber", *RULES)
    assert (refused.status, refused.err) == (
        6,
        "initctl: error: out.safetensors: exists; leave --no-clobber out to replace it\n",
    )
    assert old.read_bytes() == OLD
    assert call("apply", "net.safetensors", "-o", "new.safetensors", "--no-clobber", *RULES).status == 0
    assert entries(net.parent) == ["net.safetensors", "new.safetensors", "out.safetensors"]


def test_in_place_replaces_the_checkpoint_itself(call, net):
    done = call("apply", "net.safetensors", "--in-place", *RULES)
    assert done.out.splitlines()[-1] == "wrote net.safetensors (1 file)"
    assert load_file(net)["fc1.bias"].all()
    assert load_file(net)["steps"].tobytes() == bytes(range(16))
    assert entries(net.parent) == ["net.safetensors"]


def test_in_place_touches_nothing_where_nothing_changes(call, net):
    before = net.stat()
    done = call("apply", "net.safetensors", "--in-place", "-r", "*=keep")
    assert done.out.endswith("net.safetensors: nothing to change\n")
    assert net.stat().st_mtime_ns == before.st_mtime_ns


def test_an_output_that_existed_is_reported_as_replaced(call, net, old, folder):
    done = call("apply", "net.safetensors", "-o", "out.safetensors", *RULES)
    assert done.out.splitlines()[-1] == "replaced out.safetensors (1 file)"
    for word in ("wrote", "replaced"):
        done = call("apply", "net.safetensors", "-o", "shards/", "--max-shard-size", "5GB", *RULES)
        assert done.out.splitlines()[-1].startswith(f"{word} shards/ (")
    assert "replaced" not in call("apply", "net.safetensors", "-o", "shards/", *RULES, "--json").out


def test_a_link_goes_on_to_lead_to_the_result(call, net, old):
    os.symlink("out.safetensors", "link")
    assert call("apply", "net.safetensors", "-o", "link", *RULES).status == 0
    assert os.readlink("link") == "out.safetensors"
    assert load_file(old)["fc1.bias"].all()


@pytest.mark.parametrize("source", ["model", "model/model.safetensors.index.json"])
def test_shards_go_to_a_directory_with_all_that_lies_beside_them(call, folder, source):
    model = shards(folder / "model", one={"a.bias": ("F32", (2,))}, two={"b": ("F32", (2,))})
    (model / "config.json").write_text("{}")
    done = call("apply", source, "-o", "out", *RULES)
    assert done.out.splitlines()[-1] == "wrote out (4 files)"
    assert entries(folder / "out") == entries(model)
    assert load_file("out/one.safetensors")["a.bias"].all()
    assert not load_file("out/two.safetensors")["b"].any()


@pytest.mark.parametrize(
    ("command", "option"), [("apply", "-o"), ("plan", "--save"), ("plan", "--html"), ("apply", "--report")]
)
def test_a_file_called_like_stdout_is_refused(call, net, command, option):
    done = call(command, "net.safetensors", option, "-", *RULES)
    assert (done.status, done.err) == (2, "initctl: error: -: initctl writes files, not to stdout; name a file\n")
    assert entries(net.parent) == ["net.safetensors"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("apply", "-o"),
        ("plan", "--save"),
        ("plan", "--force", "--save"),
        ("plan", "--html"),
        ("apply", *OUT, "--report"),
    ],
    ids=" ".join,
)
def test_a_pipe_is_refused_and_stays(call, net, arguments):
    os.mkfifo(pipe := net.with_name("pipe"))
    command, *options = arguments
    done = call(command, "net.safetensors", *options, "pipe", *RULES)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("initctl: error: pipe: is not a regular file; name a regular file\n")
    assert pipe.is_fifo()
    assert entries(net.parent) == ["net.safetensors", "pipe"]


class TestAFileInTheHubCache:
    """Its name is the hash of its content, so nothing may be written through a link to it."""

    @pytest.fixture
    def link(self, folder):
        blob = folder / "blobs" / ("a" * 64)
        blob.parent.mkdir()
        blob.write_bytes(b"")
        link = folder / "snapshots" / "result"
        link.parent.mkdir()
        link.symlink_to(blob)
        return link

    @pytest.mark.parametrize(
        "arguments",
        [("plan", "--save"), ("plan", "--html"), ("apply", "-o", "out.safetensors", "--report")],
        ids=["plan", "page", "report"],
    )
    def test_is_not_replaced(self, net, call, link, arguments):
        command, *options = arguments
        done = call(command, "net.safetensors", "-r", "fc1.*=ones", *options, str(link))
        assert (done.status, done.out) == (6, "")
        fault = "is in the Hugging Face cache, which must not change: it names contents by their hashes"
        assert f"{fault}; write to a place outside of this cache" in done.err
        assert (link.is_symlink(), link.read_bytes()) == (True, b"")
        assert not (link.parent.parent / "out.safetensors").exists()


def test_a_plan_and_a_report_keep_names_of_other_bytes_than_utf_8(net, folder, call):
    net.rename(named := folder / "net\udcff.safetensors")
    out = str(folder / "out\udcfe.safetensors")
    assert call("plan", str(named), "-r", "fc1.*=ones", "--save", "plan.json").status == 0
    assert call("apply", "--plan", "plan.json", str(named), "-o", out, "--report", "report.json").status == 0
    assert initctl.verify(initctl.load_plan("plan.json"), out)
    assert call("verify", out, "--report", "report.json").status == 0
