"""`initctl doctor` for people, for programs, and for what reads reports of CI systems."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from xml.etree import ElementTree as ET

import pytest
import torch
from jsonschema import Draft202012Validator
from safetensors.torch import load_file, save_file
from torch import nn

import initctl
from initctl.diagnosing import CHECKS
from tests.cli.processes import initctl as run
from tests.cli.processes import messages, on_terminal, shell
from tests.hostile import PLANTED, TEXTS, is_safe

SCHEMA = json.loads((files("initctl.schemas") / "doctor.schema.json").read_text(encoding="utf-8"))
CODES = [check.code for check in CHECKS]


def saved(path, **changes):
    """Two layers and a norm as torch makes them, but for `changes`, by the names of tensors."""
    torch.manual_seed(0)
    layers = {f"layers_{n}": nn.Linear(64, 64) for n in range(2)}
    net = nn.ModuleDict({**layers, "norm": nn.LayerNorm(64), "head": nn.Linear(64, 10)})
    tensors = net.state_dict()
    for name, change in changes.items():
        change(tensors[name.replace("__", ".")])
    save_file(tensors, path)
    return path.name


@pytest.fixture
def sound(folder):
    return saved(folder / "sound.safetensors")


@pytest.fixture
def broken(folder):
    """An error and a warning."""
    return saved(
        folder / "broken.safetensors",
        layers_0__weight=lambda w: w[0].fill_(float("nan")),
        norm__weight=lambda w: w.fill_(0.5),
    )


def test_a_sound_checkpoint_is_one_line_and_status_0(sound, call):
    done = call("doctor", sound)
    assert (done.status, done.err) == (0, "")
    assert done.out == ("nothing found in 8 tensors; treated as fresh: 0 of 1 norms and 0 of 4 biases look trained\n")


def test_each_finding_has_its_code_its_reason_and_what_fixes_it(broken, call):
    done = call("doctor", broken)
    assert (done.status, done.err) == (1, "")
    lines = done.out.splitlines()
    assert lines[0] == "error: NaN (values.nan)"
    assert lines[1].startswith("  One NaN spreads to all outputs")
    assert lines[2] == (
        "  layers_0.weight: holds NaN: 64 of 4,096 numbers; fill it with kaiming_normal:nonlinearity=relu"
    )
    assert "  norm.weight: is not 1: it is 0.5 everywhere; fill it with ones" in lines
    assert lines[-1].startswith("1 error, 1 warning in 8 tensors; treated as fresh: ")


def test_the_command_that_is_proposed_fixes_it(broken, call):
    out = call("doctor", broken).out
    command = out[out.index("initctl apply") :].partition("\n\n")[0]
    assert shell(command).status == 0
    assert call("doctor", "fixed.safetensors").status == 0
    old, new = load_file(broken), load_file("fixed.safetensors")
    assert torch.equal(old["layers_1.weight"], new["layers_1.weight"])


def test_the_command_is_about_the_state_dict_that_was_asked_for(folder, call):
    net = {"w": torch.randn(64, 64) / 8, "b": torch.zeros(64)}
    torch.save({"model": net, "ema": {**net, "w": torch.zeros(64, 64)}}, folder / "m.pt")
    out = call("doctor", "m.pt", "--root", "ema").out
    assert "initctl apply m.pt -o fixed.pt --root ema " in out
    assert shell(out[out.index("initctl apply") :].partition("\n\n")[0]).status == 0
    done = torch.load("fixed.pt")
    assert torch.equal(done["model"]["w"], net["w"])
    assert done["ema"]["w"].any()


def test_the_command_is_about_the_whole_file_if_that_was_asked_for(folder, call):
    torch.save({"model": {"fc": {"weight": torch.full((64, 64), 1e35)}}}, folder / "m.pt")
    out = call("doctor", "m.pt", "--root", "").out
    assert "initctl apply m.pt -o fixed.pt --root '' " in out
    assert shell(out[out.index("initctl apply") :].partition("\n\n")[0]).status == 0
    assert torch.load("fixed.pt")["model"]["fc"]["weight"].max() < 1


@pytest.mark.parametrize("name", [name for name in TEXTS.values() if "\ud800" not in name])
def test_the_command_can_be_pasted_whatever_names_hold(folder, call, name):
    weights = {f"{name} it's.weight": torch.full((32, 32), 1e35), "other.weight": torch.eye(32)}
    torch.save(weights, folder / "a\x1b[31m.pt")
    done = call("doctor", "a\x1b[31m.pt")
    command = done.out[done.out.index("initctl apply") :].partition("\n\n")[0]
    assert is_safe(command)
    assert shell(command).status == 0
    fixed = torch.load("fixed.pt")
    assert fixed[f"{name} it's.weight"].max() < 2
    assert torch.equal(fixed["other.weight"], weights["other.weight"])


def test_what_no_rule_fixes_is_said(folder, call):
    hopeless = {"thing": torch.full((8,), float("nan"))}
    torch.save({**hopeless, "fc.weight": torch.full((64, 64), 1e35)}, folder / "m.pt")
    out = call("doctor", "m.pt").out
    assert "thing: holds NaN: 8 of 8 numbers; no rule fixes it\n" in out
    assert "\nTo fix what rules can fix:\n  initctl apply m.pt " in out
    torch.save(hopeless, folder / "m.pt")
    assert "initctl apply" not in call("doctor", "m.pt").out


def test_the_command_and_the_log_are_about_the_component_that_was_asked_for(folder, call):
    (folder / "pipe" / "unet").mkdir(parents=True)
    saved(folder / "pipe" / "unet" / "model.safetensors", norm__weight=lambda w: w.fill_(0.5))
    asked = "doctor", "pipe", "--component", "unet"
    assert "initctl apply pipe -o fixed --component unet " in call(*asked).out
    (result,) = json.loads(call(*asked, "--format", "sarif").out)["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "pipe/unet/model.safetensors"


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--severity", "error"], 1),
        (["--severity", "info"], 1),
        (["--ignore", "values.nan", "--severity", "error"], 0),
        (["--ignore", "values", "--ignore", "norms.weight"], 0),
        (["--select", "norms"], 1),
        (["--select", "norms", "--severity", "error"], 0),
        (["--select", "biases"], 0),
    ],
)
def test_the_status_is_1_from_a_severity_on(broken, call, arguments, status):
    assert call("doctor", broken, *arguments).status == status
    assert call("doctor", broken, *arguments, "--quiet").out == ""


def test_ignored_findings_are_not_listed(broken, call):
    document = call("doctor", broken, "--ignore", "values", "--json").document
    assert [found["code"] for found in document["data"]["findings"]] == ["norms.weight"]


def test_json_holds_what_the_library_says_and_fits_its_schema(broken, call):
    done = call("doctor", broken, "--json")
    Draft202012Validator.check_schema(SCHEMA)
    Draft202012Validator(SCHEMA).validate(done.document["data"])
    assert done.document["data"] == initctl.doctor(broken).to_json()
    assert (done.status, done.document["status"], done.document["exit_code"]) == (1, "negative", 1)
    assert done.document["data"]["findings"][0]["rule"] == "layers_0.weight=kaiming_normal:nonlinearity=relu"
    assert call("doctor", broken, "--format", "json") == done


def test_only_the_tensors_that_patterns_name_are_judged(broken, call):
    done = call("doctor", broken, "norm.*", "head.*", "--json")
    assert done.document["data"] == initctl.doctor(broken, ["norm.*", "head.*"]).to_json()
    Draft202012Validator(SCHEMA).validate(done.document["data"])
    assert done.document["data"]["tensors"] == 4
    assert [found["code"] for found in done.document["data"]["findings"]] == ["norms.weight"]
    assert call("doctor", broken, "layers_1.*").status == 0


def test_the_library_can_be_asked_twice(sound):
    assert not initctl.doctor(sound).findings
    assert not initctl.doctor(sound).findings


def test_a_reading_that_is_asked_for_is_taken(broken, call):
    trained = call("doctor", broken, "--trained")
    assert trained.out.splitlines()[-1] == (
        "1 error in 8 tensors; treated as trained: as requested; spreads, equal rows, norms and biases were not checked"
    )
    assert "treated as fresh: as requested" in call("doctor", broken, "--fresh").out


@pytest.fixture
def trained(folder):
    return saved(folder / "trained.safetensors", norm__weight=lambda w: w.normal_(1, 0.1))


def test_the_last_line_says_what_was_not_checked_and_how_it_would_be(trained, call):
    done = call("doctor", trained)
    assert done.status == 0
    assert done.out == (
        "nothing found in 8 tensors; treated as trained: 1 of 1 norms look trained; 3 of 4 biases may be either; "
        "spreads, equal rows, norms and biases were not checked; name the tensors that are fresh, or use --fresh\n"
    )
    assert "spreads" not in call("doctor", trained, "--fresh").out


@pytest.mark.parametrize(
    ("arguments", "end"),
    [
        (["--select", "biases"], "; biases were not checked; name the tensors that are fresh, or use --fresh\n"),
        (["--select", "spread", "--select", "norms", "--trained"], "; spreads and norms were not checked\n"),
        (["--select", "values"], " may be either\n"),
    ],
)
def test_only_what_was_asked_for_is_said_not_to_be_checked(trained, call, arguments, end):
    assert call("doctor", trained, *arguments).out.endswith(end)


def test_annotations_are_commands_of_github(broken, call):
    done = call("doctor", broken, "--format", "github")
    assert done.status == 1
    error, warning, summary = done.out.splitlines()
    assert error.startswith("::error title=values.nan%3A NaN::layers_0.weight: holds NaN: 64 of 4,096 numbers; ")
    assert warning.startswith("::warning title=norms.weight%3A ")
    assert summary.startswith("::notice title=initctl doctor::1 error, 1 warning in 8 tensors; ")
    assert call("doctor", broken, "--format", "github", "--quiet").out == ""


def test_a_junit_report_has_a_case_for_each_finding_and_each_check_without_one(broken, call):
    done = call("doctor", broken, "--format", "junit", "--severity", "error")
    (suite,) = ET.fromstring(done.out)
    cases = {(case.get("classname"), case.get("name")): case for case in suite}
    assert suite.attrib | {"name": ""} == {
        "name": "", "tests": str(len(CODES)), "failures": "1", "errors": "0", "skipped": "0",
    }  # fmt: skip
    failure = cases["values.nan", "layers_0.weight"].find("failure")
    assert (failure.get("type"), failure.get("message")) == ("error", "layers_0.weight holds NaN: 64 of 4,096 numbers")
    assert "warning: norm.weight is not 1" in cases["norms.weight", "norm.weight"].findtext("system-out")
    assert cases["initctl doctor", "values.infinite"].find("failure") is None


def test_a_junit_report_skips_what_only_fresh_weights_must_satisfy(broken, call):
    (suite,) = ET.fromstring(call("doctor", broken, "--format", "junit", "--trained").out)
    skipped = [case.get("name") for case in suite if case.find("skipped") is not None]
    assert skipped == [check.code for check in CHECKS if check.only_fresh]


def test_a_sarif_log_names_each_rule_and_places_each_result(broken, call):
    done = call("doctor", broken, "--format", "sarif")
    log = json.loads(done.out)
    assert log["version"] == "2.1.0"
    (of_run,) = log["runs"]
    driver = of_run["tool"]["driver"]
    assert driver["name"] == "initctl doctor"
    assert [rule["id"] for rule in driver["rules"]] == CODES
    error, warning = of_run["results"]
    assert (error["level"], warning["level"]) == ("error", "warning")
    for result in (error, warning):
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        (location,) = result["locations"]
        assert location["physicalLocation"] == {
            "artifactLocation": {"uri": "broken.safetensors"}, "region": {"startLine": 1},
        }  # fmt: skip
    assert error["locations"][0]["logicalLocations"][0]["fullyQualifiedName"] == "layers_0.weight"
    assert error["properties"]["rule"] == "layers_0.weight=kaiming_normal:nonlinearity=relu"


def test_a_file_of_a_sarif_log_is_a_uri(folder, call):
    (folder / "a b").mkdir()
    saved(folder / "a b" / "model.safetensors", norm__weight=torch.Tensor.zero_, head__weight=lambda w: w.mul_(1e35))
    for path, uri in [("a b", "a%20b/model.safetensors"), (str(folder / "a b"), (folder / "a b").as_uri())]:
        (result,) = json.loads(call("doctor", path, "--format", "sarif").out)["runs"][0]["results"]
        found = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        assert found.startswith(uri)
        assert found.endswith("model.safetensors")


@pytest.mark.parametrize("form", ["text", "json", "github", "junit", "sarif"])
def test_hostile_names_are_inert_in_every_format(folder, form):
    tensors = {f"{name}.weight": torch.full((32, 32), 1e35) for name in (*PLANTED.values(), "]]><x>&amp;")}
    torch.save(tensors, folder / "m.pt")
    found = len(tensors) - 1  # one name is no text, and its tensor not read
    done = run("doctor", "m.pt", "--format", form, GITHUB_ACTIONS="true")
    assert done.status == 1
    if form == "github":
        lines = done.out.splitlines()
        assert len(lines) == found + 2
        assert all(re.match(r"::(error|notice) title=[^:]*::", line) for line in lines)
        assert all(is_safe(f"data: {line.removeprefix('::').partition('::')[2]}") for line in lines)
        return
    assert is_safe(done.out)
    if form == "junit":
        assert len(ET.fromstring(done.out).findall(".//failure")) == found
    if form in ("json", "sarif"):
        assert json.loads(done.out)


def test_what_cannot_be_read_is_listed_and_does_not_end_it(folder, call):
    torch.save({"w": torch.eye(4).to_sparse(), "fc.weight": torch.randn(64, 64) / 8}, folder / "m.pt")
    done = call("doctor", "m.pt")
    assert done.status == 0
    assert done.out.splitlines()[0].startswith("not read: w: ")
    (unread,) = call("doctor", "m.pt", "--json").document["data"]["unreadable"]
    assert unread["tensor"] == "w"
    assert call("doctor", "m.pt", "--format", "github").out.startswith("::notice title=not read::w: it is sparse\n")
    case = ET.fromstring(call("doctor", "m.pt", "--format", "junit").out).find(".//*[@name='w']")
    assert case.find("skipped").get("message") == "not read: it is sparse"
    (of_run,) = json.loads(call("doctor", "m.pt", "--format", "sarif").out)["runs"]
    (note,) = of_run["invocations"][0]["toolExecutionNotifications"]
    assert note["message"]["text"] == "not read: w: it is sparse"


def test_layers_alike_are_folded_unless_all_are_asked_for(folder, call):
    save_file({f"layers.{n}.fc.weight": torch.full((32, 32), 1e35) for n in range(4)}, folder / "m.safetensors")
    out = call("doctor", "m.safetensors").out
    assert "  layers.{0..3}.fc.weight ×4: holds numbers as large as 1e+35; " in out
    assert call("doctor", "m.safetensors", "--all").out.count("holds numbers as large as") == 4
    assert len(call("doctor", "m.safetensors", "--format", "github").out.splitlines()) == 2


def test_a_narrow_terminal_gets_all_of_it(broken):
    done = on_terminal("doctor", broken, columns=60, NO_COLOR="1")
    assert done.status == 1
    report = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", done.out).split("\r")[-1]
    assert max(map(len, report.splitlines())) <= 60
    for word in ("values.nan", "norm.weight", "initctl apply broken.safetensors"):
        assert word in report


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--select", "values.nam"], 2, "select: unknown check values.nam; did you mean values.nan?"),
        (["--ignore", "bias"], 2, "ignore: unknown check bias; did you mean biases?"),
        (["--ignore", "xyz"], 2, "ignore: unknown check xyz; use a code, or a group: values, symmetry, spread, "),
        (["--severity", "warn"], 2, "unknown severity warn; did you mean warning?"),
        (["--format", "xml"], 2, "unknown format xml; use text, json, "),
        (["--preset", "gpt2"], 4, "preset gpt2: fills no tensor of "),
        (["--trained", "--fresh"], 2, "--trained contradicts --fresh; leave out one of them"),
        (["--threads", "0"], 2, "threads: 0 is not a whole number of 1 or more"),
        (["nom.*"], 4, "pattern nom.*: matches no tensor; did you mean 'norm.*'?"),
        (["norm.weight[:3]"], 2, "pattern norm.weight[:3]: selects rows; name whole tensors"),
        (["--root", "nowhere"], 2, "sound.safetensors: there is no tensor under nowhere; "),
    ],
)
def test_each_failure_is_one_line_and_a_status(sound, call, arguments, status, message):
    done = call("doctor", sound, *arguments)
    assert (done.status, done.out) == (status, "")
    assert done.err.startswith(f"initctl: error: {message}")
    assert len(messages(done.err)) == 1
    document = call("doctor", sound, *arguments, "--json").document
    assert (document["exit_code"], document["data"]) == (status, None)
    Draft202012Validator(SCHEMA).validate(document["data"])


def test_json_and_another_format_contradict_each_other(sound, call):
    done = call("doctor", sound, "--format", "junit", "--json")
    assert done.document["exit_code"] == 2
    assert "--json contradicts --format junit; leave out one of them" in done.err


def test_a_failure_under_format_json_is_a_document_too(folder, call):
    for form in (["--format", "json"], ["--format=json"]):
        assert call("doctor", "none.safetensors", *form).document["exit_code"] == 3


def test_a_checkpoint_or_a_config_that_cannot_be_read_is_3(folder, call):
    assert call("doctor", "none.safetensors").status == 3
    saved(folder / "model.safetensors")
    (folder / "config.json").write_text("{")
    done = call("doctor", "model.safetensors")
    assert done.status == 3
    assert "config.json" in done.err


def test_one_code_without_a_list_is_an_error(sound):
    with pytest.raises(initctl.UsageError, match="select: must be a list; write select="):
        initctl.doctor(sound, select="values")
