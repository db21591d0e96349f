"""`apply --report` writes what was done, and `verify --report` checks a checkpoint by it alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import initctl
from initctl.manifest.statement import PREDICATE_TYPE, STATEMENT_TYPE
from tests.cli.checkpoints import checkpoint
from tests.cli.processes import messages, on_terminal, shell, small_files
from tests.schemas import schema

RULES = ("-r", "w=normal:std=0.02", "-r", "b[2:]=ones")
OUT = ("-o", "out.safetensors")


@pytest.fixture
def weights(folder):
    save_file({"w": torch.full((100, 50), 3.0), "b": torch.arange(4.0), "k": torch.ones(2)}, folder / "m.safetensors")
    return "m.safetensors"


@pytest.fixture
def applied(weights, call):
    """`out.safetensors`, and the report on it."""
    assert call("apply", weights, *OUT, *RULES, "--report", "r.json").status == 0
    return "out.safetensors"


def test_a_report_changes_neither_the_result_nor_what_is_said(weights, call, folder):
    plain = call("apply", weights, *OUT, *RULES)
    content = (folder / "out.safetensors").read_bytes()
    (folder / "out.safetensors").unlink()
    done = call("apply", weights, *OUT, *RULES, "--report", "r.json")
    assert (done.status, done.out, done.err) == (0, plain.out, plain.err)
    assert (folder / "out.safetensors").read_bytes() == content
    schema("report").validate(json.loads((folder / "r.json").read_text()))


def test_a_report_is_what_the_library_makes(applied, call, folder):
    plan = initctl.plan("m.safetensors", rules=RULES[1::2])
    changes = initctl.changes(plan, digest=True)
    initctl.apply(plan, "out.safetensors").manifest(changes).save("again.json")
    assert (folder / "r.json").read_bytes() == (folder / "again.json").read_bytes()


def test_a_report_has_a_line_for_each_tensor_and_each_file(applied, folder):
    lines = (folder / "r.json").read_text().splitlines()
    assert sum(line.strip().startswith('{"name": ') for line in lines) == 3 + 1 + 1
    assert sum(line.strip().startswith('{"tensor": ') for line in lines) == 2


def test_both_show_differences_and_write_a_report(weights, call):
    done = call("apply", weights, "--in-place", *RULES, "--diff", "--report", "r.json", "--json").document
    schema("apply").validate(done["data"])
    digests = [change["after"]["digest"] for change in done["data"]["changes"]]
    report = initctl.load_manifest("r.json").document["predicate"]
    assert digests == [change["after"]["digest"]["sha256"] for change in report["changes"]]
    assert call("verify", weights, "--report", "r.json").status == 0


def test_what_was_applied_holds_what_the_report_says(applied, call, folder):
    (folder / "m.safetensors").unlink()
    done = call("verify", applied, "--report", "r.json")
    assert (done.status, done.err) == (0, "")
    assert done.out == "out.safetensors: holds what r.json says\ncompared 3 tensors and 1 file\n"


def test_a_conversion_of_it_does_too(applied, call):
    call("apply", applied, "-o", "out.pt")
    done = call("verify", "out.pt", "--report", "r.json")
    assert (done.status, done.out.splitlines()[1]) == (
        0, "compared 3 tensors; its files were not compared, since the report lists other files",
    )  # fmt: skip


def test_what_differs_is_named_and_the_status_is_1(applied, call):
    save_file({**load_file(applied), "w": torch.zeros(100, 50), "more": torch.ones(1)}, applied)
    done = call("verify", applied, "--report", "r.json")
    assert (done.status, done.err) == (1, "")
    assert done.out.splitlines() == [
        "tensor or file   difference",
        "w                has other values",
        "more             is new",
        "out.safetensors  has other bytes",
        "",
        "out.safetensors: 2 tensors and 1 file differ from what r.json says",
        "compared 3 tensors and 1 file",
    ]


def test_many_differences_are_cut_unless_all_are_asked_for(folder, call):
    checkpoint(folder / "m.safetensors", {f"t{n}": ("F32", (2,)) for n in range(40)})
    call("apply", "m.safetensors", *OUT, "-r", "*=ones", "--report", "r.json")
    cut, whole = (call("verify", "m.safetensors", "--report", "r.json", *flags).out for flags in ([], ["--all"]))
    assert "and 11 more; --all lists them" in cut
    assert len(whole.splitlines()) == 1 + 41 + 3


@pytest.mark.parametrize("source", ["out.safetensors", "m.safetensors"])
def test_json_holds_what_the_library_says_and_fits_its_schema(applied, call, source):
    document = call("verify", source, "--report", "r.json", "--json").document
    schema("verify").validate(document["data"])
    assert document["data"] == initctl.load_manifest("r.json").verify(source).to_json()
    assert (document["status"], document["exit_code"]) == (("ok", 0) if source == applied else ("negative", 1))


@pytest.mark.parametrize(
    "arguments", [("out.safetensors",), ("out.safetensors", "--against", "m.safetensors"), ("m.safetensors",)]
)
def test_documents_of_verify_by_rules_fit_the_schema_too(applied, call, arguments):
    data = call("verify", *arguments, *RULES, "--json").document["data"]
    schema("verify").validate(data)
    assert not schema("verify").is_valid({key: data[key] for key in data if key != "lost"})


def test_a_narrow_terminal_without_colors_gets_all_of_it(applied):
    done = on_terminal("verify", "m.safetensors", "--report", "r.json", columns=40, NO_COLOR="1")
    assert done.status == 1
    report = done.out[done.out.rindex("\x1b[2K") + 4 :] if "\x1b" in done.out else done.out
    assert max(map(len, report.splitlines())) <= 40
    assert "has other values" in report


class TestFailures:
    """One line, a status, and nothing lost."""

    @pytest.mark.parametrize(
        ("place", "status", "message"),
        [
            ("none/r.json", 5, "none/r.json: the directory "),
            ("m.safetensors", 6, "m.safetensors: exists and is not an initctl report; name another file"),
            ("m.safetensors/r.json", 5, "m.safetensors/r.json: "),
            (".", 2, ".: is not a regular file"),
            ("/dev/full", 2, "/dev/full: is not a regular file"),
            ("/proc/r.json", 5, "/proc/r.json: cannot be written: "),
            ("notes.json", 6, "notes.json: exists and is not an initctl report"),
        ],
    )
    def test_a_place_that_no_report_fits_is_noticed_before_the_work(
        self, weights, call, folder, place, status, message
    ):
        (folder / "notes.json").write_text('{"predicateType": "https://slsa.dev/provenance/v1"}')
        done = call("apply", weights, *OUT, *RULES, "--report", place)
        assert (done.status, done.out, len(messages(done.err))) == (status, "", 1)
        assert done.err.startswith(f"initctl: error: {message}")
        assert sorted(path.name for path in folder.iterdir()) == ["m.safetensors", "notes.json"]

    def test_somebody_elses_statement_in_the_same_form_stays(self, applied, call, folder):
        other = (folder / "r.json").read_text().replace(PREDICATE_TYPE, "https://slsa.dev/provenance/v1")
        (folder / "r.json").write_text(other)
        done = call("apply", applied, "--in-place", "-r", "w=ones", "--report", "r.json")
        assert (done.status, done.out, (folder / "r.json").read_text()) == (6, "", other)

    def test_a_report_and_an_empty_file_are_replaced(self, weights, call, folder):
        (folder / "r.json").touch()
        for rule in ("w=ones", "w=zeros"):
            assert call("apply", weights, *OUT, "-r", rule, "--report", "r.json").status == 0
        assert call("verify", "out.safetensors", "--report", "r.json").status == 0

    def test_the_result_stays_if_the_disk_has_no_room_for_the_report(self, folder):
        names = [f"layer.{n}.weight" for n in range(60)]
        save_file({name: torch.ones(1) for name in names}, folder / "m.safetensors")
        done = shell(f"{small_files(20)}initctl apply m.safetensors -o out.safetensors -r '*=zeros' --report r.json")
        assert done.status == 7
        assert done.out.endswith("\nwrote out.safetensors (1 file)\n")
        fault = "out.safetensors: was written, but its report was not: r.json: cannot be written: File too large"
        assert done.err == f"initctl: error: {fault}\n"
        assert not any(tensor.any() for tensor in load_file(folder / "out.safetensors").values())
        assert sorted(path.name for path in folder.iterdir()) == ["m.safetensors", "out.safetensors"]

    def test_the_data_is_written_with_the_errors_of_the_page_and_of_the_report(self, folder):
        checkpoint(folder / "m.safetensors", {f"layer.{n}.weight": ("F32", (1,)) for n in range(60)})
        apply = "initctl apply m.safetensors -o out.safetensors -r '*=ones'"
        document = shell(f"{small_files(20)}{apply} --html p.html --report r.json --json").document
        schema("apply").validate(document["data"])
        assert (document["exit_code"], document["status"]) == (7, "error")
        assert [error["message"] for error in document["errors"]] == [
            f"out.safetensors: was written, but its {what}: cannot be written: File too large"
            for what in ("page was not: p.html", "report was not: r.json")
        ]

    def test_the_result_is_shown_if_the_memory_has_no_room_for_the_report(self, weights, call, monkeypatch):
        def exhausted(*_: object) -> None:
            raise MemoryError

        monkeypatch.setattr("initctl.manifest.making.read_result", exhausted)
        done = call("apply", weights, *OUT, *RULES, "--report", "r.json")
        assert (done.status, done.out.splitlines()[-1]) == (7, "wrote out.safetensors (1 file)")
        assert "but its report was not: there is not enough memory; use fewer --threads" in done.err

    @pytest.mark.parametrize(
        "places",
        [("-o", "out", "--report", "./out"), ("-o", "out", "--html", "out"), (*OUT, "--html", "x", "--report", "x")],
    )
    def test_one_place_for_two_outputs_is_refused_before_the_work(self, weights, call, folder, places):
        done = call("apply", weights, *RULES, *places)
        fault = f"{places[-1]}: is given for two outputs; name another file"
        assert (done.status, done.out, done.err) == (2, "", f"initctl: error: {fault}\n")
        assert [path.name for path in folder.iterdir()] == ["m.safetensors"]

    @pytest.mark.parametrize(
        "arguments", [RULES, ("--seed", "1"), ("--sample", "3"), ("--against", "m.safetensors"), ("--plan", "p.json")]
    )
    def test_nothing_else_is_given_beside_a_report(self, applied, call, arguments):
        done = call("verify", applied, "--report", "r.json", *arguments)
        assert (done.status, done.out) == (2, "")
        assert done.err == (
            "initctl: error: --report cannot be combined with rules, --plan, --against or --sample; "
            "leave them out: the report says what CHECKPOINT must hold\n"
        )

    @pytest.mark.parametrize(
        ("source", "report", "message"),
        [
            ("none.safetensors", "r.json", "none.safetensors: no such file or directory"),
            ("out.safetensors", "none.json", "none.json: no such file or directory"),
            ("out.safetensors", ".", ".: is a directory"),
        ],
    )
    def test_what_is_not_there_is_named(self, applied, call, source, report, message):
        done = call("verify", source, "--report", report)
        assert (done.status, done.out) == (3, "")
        assert message in done.err
        document = call("verify", source, "--report", report, "--json").document
        assert (document["exit_code"], document["data"]) == (3, None)


def plant(report: Any, keys: str, value: Any) -> None:
    """Put `value` where dotted `keys` lead in a report; `...` takes away what is there."""
    *path, last = (int(key) if key.isdigit() else key for key in keys.split("."))
    for key in path:
        report = report[key]
    if value is ...:
        del report[last]
    else:
        report[last] = value


class TestHostileReports:
    """A report is a file that anybody may have written: one line, status 3, and no memory or time to speak of."""

    def check(self, call, content: bytes | str, *words: str) -> None:
        with open("hostile.json", "wb") as stream:
            stream.write(content.encode() if isinstance(content, str) else content)
        done = call("verify", "out.safetensors", "--report", "hostile.json")
        assert (done.status, done.out, len(messages(done.err))) == (3, "", 1)
        assert done.err.startswith("initctl: error: hostile.json: ")
        for word in words:
            assert word in done.err

    @pytest.mark.parametrize(
        ("content", "word"),
        [
            (b"", "line 1"), (b"\xff\xfe", "not UTF-8"), (b"[]", "not a JSON object"), (b"{", "line 1"),
            (b"[" * 200_000, "nested too deeply"), (b'{"a": 1, "a": 2}', "twice"), (b'{"a": NaN}', "NaN"),
            (b'{"a": ' + b"9" * 5000 + b"}", "digits"), (b"{}", "its _type"),
            (b'{"_type": "https://in-toto.io/Statement/v0.1"}', "its _type"),
        ],
    )  # fmt: skip
    def test_that_are_none(self, applied, call, content, word):
        self.check(call, content, "is not an initctl report: ", word, "; write one with initctl apply --report")

    def test_a_checkpoint_in_the_place_of_the_report_is_named_as_no_report(self, applied, call):
        done = call("verify", "r.json", "--report", applied)
        assert done.status == 3
        assert done.err.startswith(f"initctl: error: {applied}: is not an initctl report: ")

    def test_of_somebody_elses_predicate(self, applied, call):
        self.check(call, json.dumps({"_type": STATEMENT_TYPE, "predicateType": PREDICATE_TYPE + "0"}), "write one with")

    @pytest.mark.parametrize(
        ("keys", "values"),
        [
            ("subject", [..., None, {}, [1], ["x"], [{}]]),
            ("subject.0.name", [..., 1, None, ["x"]]),
            ("subject.0.digest", [..., None, "x", {}, {"sha256": 1}]),
            ("subject.0.digest.sha256", ["", "0" * 63, "0" * 65, "Z" * 64, "é" * 64, "0" * 64 + "\n"]),
            ("predicate", [..., [], None]),
            ("predicate.plan", [..., [], None]),
            ("predicate.plan.root", [..., 1, None]),
            ("predicate.plan.component", [..., {}, None]),
            ("predicate.output", [..., "x"]),
            ("predicate.output.format", [..., 7]),
            ("predicate.tensors", [..., {}, None, [7], [{}]]),
            ("predicate.tensors.1.name", [..., 1, "b"]),
            ("predicate.tensors.0.dtype", [..., 1, None]),
            ("predicate.tensors.0.shape", [..., 1, "x", [-1], [1.0], [True], ["1"], [2**63], [[1]]]),
            ("predicate.tensors.0.digest", [..., 1, {}, {"sha256": None}, {"sha256": "x"}]),
        ],
    )
    def test_that_are_damaged(self, applied, call, folder, keys, values):
        for value in values:
            report = json.loads((folder / "r.json").read_text())
            plant(report, keys, value)
            self.check(call, json.dumps(report), "is damaged: ")

    def test_that_say_more_are_read_all_the_same(self, applied, call, folder):
        report = json.loads((folder / "r.json").read_text())
        report["predicate"]["later"] = report["more"] = {"x": [1]}
        (folder / "r.json").write_text(json.dumps(report))
        assert call("verify", applied, "--report", "r.json").status == 0

    def test_whose_names_would_break_a_terminal_or_lead_elsewhere(self, applied, call, folder):
        report = json.loads((folder / "r.json").read_text())
        report["subject"][0]["name"] = "../../etc/passwd"
        report["predicate"]["tensors"][0] |= {"name": "\x1b[31m::error::\n", "dtype": "\x1b[2J"}
        report["predicate"]["plan"] |= {"root": "\x1b", "component": "../.."}
        (folder / "r.json").write_text(json.dumps(report))
        done = call("verify", applied, "--report", "r.json")
        assert (done.status, done.err) == (1, "")
        assert "\x1b" not in done.out
        assert "\n::error" not in done.out
        assert r"\x1b[31m" in done.out

    def test_that_are_too_long(self, applied, call, folder):
        with open(folder / "hostile.json", "wb") as stream:
            stream.truncate(1 << 40)
        done = call("verify", applied, "--report", "hostile.json")
        assert (done.status, done.err) == (3, "initctl: error: hostile.json: is longer than 500,000,000 bytes\n")
