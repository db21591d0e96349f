"""`apply` in parts on the command line: what each step says, its JSON, and the options that do not go together."""

from __future__ import annotations

import json
import os

import pytest

from tests.cli.processes import messages, shell
from tests.schemas import schema

RULES = ("-r", "*.weight=normal", "-r", "*.bias=zeros")
APPLY = ("apply", "net.safetensors", "-o", "out.safetensors", *RULES)


def refused(call, *step, status=2):
    """The one line that says why a step is refused. Nothing is written."""
    before = sorted(os.listdir())
    done = call(*APPLY, *step)
    assert (done.status, done.out) == (status, "")
    assert sorted(os.listdir()) == before
    (message,) = messages(done.err)
    return message.removeprefix("initctl: error: ")


def test_a_plan_is_written_in_parts_as_the_topic_shows_it(net, folder):
    topic = shell("initctl help parts").out
    lines = [line.strip() for line in topic.splitlines() if line.startswith("    initctl ")]
    assert len(lines) == 5
    for line in lines:
        assert shell(line).status == 0, line
    assert shell("initctl apply net.safetensors --plan plan.json -o once.safetensors").status == 0
    assert (folder / "out.safetensors").read_bytes() == (folder / "once.safetensors").read_bytes()
    assert not list(folder.glob(".initctl-*"))


def test_each_step_says_what_it_did(net, call):
    size = net.stat().st_size
    assert call(*APPLY, "--status").out == "out.safetensors: no part of it was begun\n"
    assert call(*APPLY, "--parts", "2").out.splitlines()[-1].startswith("out.safetensors: ")
    assert call(*APPLY, "--part", "1/2").out.startswith("part 1 of 2: wrote ")
    assert call(*APPLY, "--part", "1/2").out.startswith("part 1 of 2: was written before: ")
    status = call(*APPLY, "--status").out.splitlines()
    assert [line.split()[0] for line in status[1:3]] == ["1/2", "2/2"]
    assert status[2].endswith("missing")
    assert status[-1] == "out.safetensors: 1 of 2 parts written"
    assert call(*APPLY, "--part", "2/2").status == 0
    assert call(*APPLY, "--status").out.splitlines()[-1] == (
        "out.safetensors: 2 of 2 parts written; commit them with --commit"
    )
    done = call(*APPLY, "--commit")
    assert done.out.splitlines()[-1] == "wrote out.safetensors (1 file)"
    assert os.path.getsize("out.safetensors") == size


def test_parts_by_other_rules_are_named_if_one_is_missing(net, call, folder):
    out = ("-o", "out.safetensors", "-r")
    assert call("apply", "net.safetensors", *out, "*=ones", "--part", "1/2").status == 0
    (first,) = folder.glob(".initctl-*.parts")
    assert call("apply", "net.safetensors", *out, "*=zeros", "--part", "2/2").status == 0
    refused = call("apply", "net.safetensors", *out, "*=zeros", "--commit")
    assert refused.status == 6
    assert f"; parts by other rules, or of other results, are in {first}\n" in refused.err


def test_if_the_checkpoint_changed_each_step_says_that_all_parts_must_be_written_again(net, call):
    assert call(*APPLY, "--part", "1/2").status == 0
    os.utime(net, (1, 1))
    for step in (["--part", "2/2"], ["--status"], ["--commit"]):
        refused = call(*APPLY, *step)
        assert (refused.status, refused.out) == (6, "")
        assert "was begun before net.safetensors changed; remove" in refused.err


def test_every_step_writes_json_that_its_schema_describes(net, call, folder):
    found = {}
    for step in (["--parts", "2"], ["--status"], ["--part", "1/2"], ["--status"], ["--part", "1/2"], ["--part", "2/2"]):
        document = call(*APPLY, *step, "--json").document
        assert (document["command"], document["exit_code"]) == ("apply", 0)
        schema("apply").validate(document["data"])
        found[" ".join(step)] = document["data"]
    assert sum(share["bytes"] for share in found["--parts 2"]["split"]) == net.stat().st_size
    assert (found["--status"]["missing"], found["--status"]["complete"]) == ([2], False)
    assert found["--part 1/2"]["was_done"] is True
    assert found["--part 2/2"]["was_done"] is False
    (staging,) = folder.glob(".initctl-*.parts")
    schema("parts").validate(json.loads((staging / "parts.json").read_text()))
    for number in (1, 2):
        schema("part").validate(json.loads((staging / f"part-{number}-of-2.json").read_text()))
    committed = call(*APPLY, "--commit", "--json").document
    schema("apply").validate(committed["data"])
    assert committed["data"]["files"] == ["out.safetensors"]
    error = call(*APPLY, "--commit", "--json").document
    assert (error["exit_code"], error["data"], error["errors"][0]["code"]) == (6, None, "parts.missing")


def test_a_commit_writes_reports_and_shows_differences_as_apply_does(net, call, folder):
    assert call(*APPLY, "--part", "1/1").status == 0
    done = call(*APPLY, "--commit", "--diff", "--report", "r.json", "--html", "r.html")
    assert done.status == 0
    schema("report").validate(json.loads((folder / "r.json").read_text()))
    assert call("verify", "out.safetensors", "--report", "r.json").status == 0
    once = call("apply", "net.safetensors", "-o", "once.safetensors", *RULES, "--diff")
    assert done.out.replace("out.safetensors", "once.safetensors") == once.out


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("0/4", "part 0/4 does not exist; parts are numbered from 1 to N"),
        ("5/4", "part 5/4 does not exist; parts are numbered from 1 to N"),
        ("1/0", "part 1/0 does not exist; parts are numbered from 1 to N"),
        ("x", "--part: x is not the number of a part and the number of parts; give both, as in --part 1/8"),
        ("", "--part: '' is not the number of a part and the number of parts; give both, as in --part 1/8"),
        ("1/", "--part: 1/ is not the number of a part and the number of parts; give both, as in --part 1/8"),
        ("1/2/3", "--part: 1/2/3 is not the number of a part and the number of parts; give both, as in --part 1/8"),
        ("1.5/2", "--part: 1.5/2 is not the number of a part and the number of parts; give both, as in --part 1/8"),
        ("1/100001", "100001 parts are too many; use 100,000 at most"),
    ],
)
def test_a_part_that_cannot_be_is_refused(net, call, part, message):
    assert refused(call, "--part", part) == message


@pytest.mark.parametrize("number", ["0", "-1", "x", "1.5"])
def test_a_number_of_parts_that_cannot_be_is_refused(net, call, number):
    assert "is not a whole number of 1 or more" in refused(call, "--parts", number)


@pytest.mark.parametrize("step", [["--part", "1/1"], ["--status"], ["--parts", "2"]])
@pytest.mark.parametrize("other", [["--diff"], ["--report", "r.json"], ["--html", "r.html"]])
def test_options_of_the_result_belong_to_the_commit(net, call, step, other):
    assert refused(call, *step, *other) == (
        f"{step[0]} cannot be combined with {other[0]}; give {other[0]} to --commit"
    )


def test_steps_are_taken_one_at_a_time(net, call):
    message = refused(call, "--part", "1/2", "--commit", "--status", "--parts", "2")
    assert message == "--part, --commit, --status, --parts: these are different steps; use one at a time"


@pytest.mark.parametrize("step", [["--part", "1/1"], ["--commit"], ["--status"], ["--parts", "2"]])
def test_parts_need_an_output_and_cannot_be_written_in_place(net, call, step):
    done = call("apply", "net.safetensors", *RULES, *step)
    assert (done.status, messages(done.err)) == (2, ["initctl: error: no output given; use -o OUT"])
    done = call("apply", "net.safetensors", "--in-place", *RULES, *step)
    message = f"initctl: error: {step[0]} cannot be combined with --in-place; write to a new place with -o OUT"
    assert (done.status, messages(done.err)) == (2, [message])


def test_torchs_generator_is_refused(net, call):
    assert refused(call, "--part", "1/1", "--rng", "torch").startswith("--rng torch draws the values of all tensors")


def test_an_output_that_exists_is_refused_with_no_clobber(net, call, folder):
    (folder / "out.safetensors").write_bytes(net.read_bytes())
    assert refused(call, "--part", "1/1", "--no-clobber", status=6) == (
        "out.safetensors: exists; leave --no-clobber out to replace it"
    )
