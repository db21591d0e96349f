"""What is typed wrong is answered with what may have been meant."""

from __future__ import annotations

import pytest
import torch

from initctl.cli.commands import SUMMARIES
from tests.cli.checkpoints import checkpoint, shards
from tests.cli.processes import MODULE, initctl, messages


def test_without_a_command_there_is_help_and_status_2(folder):
    alone, asked = initctl(command=MODULE), initctl("--help", command=MODULE)
    assert (alone.status, asked.status) == (2, 0)
    assert alone == type(alone)(2, asked.out, "")
    for name in ("apply", "plan", "inspect", "stats", "suggest", "initializers", "demo"):
        assert f"\n  {name} " in asked.out


@pytest.mark.parametrize("command", SUMMARIES)
def test_the_list_of_commands_says_of_each_what_its_own_help_says(call, command):
    assert call(command, "--help").out.splitlines()[2].strip() == SUMMARIES[command]
    assert f"  {SUMMARIES[command]}\n" in call("--help").out


@pytest.mark.parametrize("command", ["apply", "plan", "inspect", "stats", "suggest", "initializers", "demo"])
def test_every_command_has_help_that_fits_80_columns(call, command):
    done = call(command, "--help")
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("Usage: ")
    assert max(map(len, done.out.splitlines())) <= 80
    for option in ("--json", "--quiet", "--verbose", "--no-color"):
        assert option in done.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["pln", "x"], "unknown command pln; did you mean plan?"),
        (["inspct", "x"], "did you mean inspect?"),
        (["convert", "a", "b"], "unknown command convert; apply converts: initctl apply IN -o OUT.safetensors"),
        (["init", "x"], "did you mean apply?"),
        (["run", "x"], "did you mean apply?"),
        (["ls", "x"], "did you mean inspect?"),
        (["Show", "x"], "did you mean inspect?"),
        (["check", "x"], "did you mean verify or doctor?"),
        (["compare", "x"], "did you mean diff?"),
        (["plan", "x", "--rul", "*=ones"], "unknown option --rul; did you mean --rule?"),
        (["apply", "x", "--in-plase"], "unknown option --in-plase; did you mean --in-place?"),
        (["apply", "x", "--no-clober"], "did you mean --no-clobber?"),
        (["apply", "x", "--dry-run"], "initctl plan shows what apply would do, and writes nothing"),
        (["apply", "x", "-n"], "unknown option -n; initctl plan shows what apply would do"),
        (["plan", "x", "-n"], "leave it out: plan writes no checkpoint"),
        (["verify", "x", "--dry-run"], "leave it out: verify writes no checkpoint"),
        (["plan", "x", "-o", "f"], "unknown option -o; did you mean --save?"),
        (["plan", "x", "--out", "f"], "did you mean --save?"),
        (["apply", "x", "--out", "f"], "did you mean --output?"),
        (["apply", "x", "-s", "3"], "unknown option -s; did you mean --seed?"),
        (
            ["apply", "x", "--no-optimizer"],
            "a conversion leaves the optimizer out: initctl apply IN -o ",
        ),
        (["apply", "x", "--only", "y"], "the pattern of a rule selects tensors: -r 'PATTERN=INIT'"),
        (["apply", "x", "--include", "y"], "unknown option --include; the pattern of a rule selects tensors"),
        (["apply", "x", "--exclude", "y"], "exclude tensors by a last rule: -r 'PATTERN=keep'"),
        (["stats", "x", "--include", "y"], "unknown option --include; see initctl stats --help"),
        (["apply", "x", "y"], "unexpected argument y; write -o y to write the result there"),
        (["apply", "x", "y", "-o", "z"], "unexpected argument y; see initctl apply --help"),
        (["apply", "x", "y", "z"], "unexpected arguments y, z; see initctl apply --help"),
        (["plan", "x", "y.toml"], "unexpected argument y.toml; write -f y.toml to read its rules"),
        (["plan", "x", "--quiet=3"], "option --quiet does not take a value; see initctl plan --help"),
        (["initializers", "kaimin_normal"], "did you mean kaiming_normal"),
        (["plan"], "missing argument CHECKPOINT; see initctl plan --help"),
        (["recipe-schema", "x"], "; see initctl recipe-schema --help"),
        (["--nonsense-of-any-kind"], "unknown option --nonsense-of-any-kind; see initctl --help"),
        (["plan", "x", "--num-labels", "5"], "--rows 'PATTERN=N' changes the number of rows"),
        (["apply", "x", "--resize", "5"], "--rows 'PATTERN=N' changes the number of rows"),
        (["plan", "x", "y"], "unexpected argument y; see initctl plan --help"),
        (["plan", "x", "-r"], "option -r requires an argument; see initctl plan --help"),
        (
            ["plan", "x", "--seed", "many"],
            "seed: many is not a whole number from 0 to 2^64 - 1; see initctl plan --help",
        ),
        (["zzz", "plan"], "unknown command zzz; see initctl --help"),
        (["--zzz", "plan"], "unknown option --zzz; see initctl --help"),
        (["apply", "x", "--threads", "2.5"], "threads: 2.5 is not a whole number of 1 or more"),
        (["demo", "--threads", "many"], "threads: many is not a whole number of 1 or more"),
        (["plan", "x", "--threads", "-1"], "threads: '-1' is not a whole number of 1 or more"),
        (["verify", "x", "--sample", "x"], "sample: x is not a whole number of 1 or more"),
        (["verify", "x", "--sample", "0"], "sample: 0 is not a whole number of 1 or more"),
        (["verify", "x", "--sample", "1_0"], "sample: 1_0 is not a whole number of 1 or more"),
        (["apply", "x", "-o", "y", "--in-place", "-r", "*=ones"], "two outputs given; use -o OUT or --in-place, "),
        (["apply", "x", "-r", "*=ones"], "no output given; use -o OUT or --in-place"),
        (
            ["apply", "x", "--in-place", "--max-shard-size", "5GB"],
            "--max-shard-size has no effect with --in-place, which keeps the shards",
        ),
        (["apply", "x", "-o", "y", "--threads", "0", "-r", "*=ones"], "threads: 0 is not a whole number of 1 or more"),
        (["plan", "x", "--seed", "-1", "-r", "*=ones"], "is not a whole number from 0 to 2^64 - 1"),
        (["plan", "x", "--seed", str(2**64), "-r", "*=ones"], "is not a whole number from 0 to 2^64 - 1"),
        (["plan", "x", "--seed", "1.5", "-r", "*=ones"], "seed: 1.5 is not"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_line_is_refused_in_one_line_that_helps(call, folder, arguments, words):
    command, *rest = arguments
    done = call(command, "--json", *rest)
    (line,) = messages(done.err)
    assert done.status == 2
    assert line.startswith("initctl: error: ")
    assert words in line
    (error,) = done.document["errors"]
    assert error["code"].partition(".")[0] in ("usage", "output", "rule")
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    ("line", "told"),
    {
        "apply x -o a -o b": "-o (--output) is given twice; give it once",
        "apply x --output a -o b": "-o (--output) is given twice; give it once",
        "plan x -p auto -p llama": "-p (--preset) is given twice; give it once",
        "plan x --seed 1 --seed=2": "--seed is given twice; give it once",
        "verify x --plan a --plan b": "--plan is given twice; give it once",
        "apply x -o=y.st -r a=zeros": "'-o=y.st': = goes only with long options; write -o y.st or --output=y.st",
        "plan x -r=a=zeros": "'-r=a=zeros': = goes only with long options; write -r a=zeros or --rule=a=zeros",
    }.items(),
)
def test_an_option_given_twice_or_with_a_lost_equals_sign_is_refused(net, call, line, told):
    done = call(*line.split())
    assert (done.status, done.out, done.err) == (2, "", f"initctl: error: {told}\n")


@pytest.mark.parametrize(
    ("line", "told"),
    {
        "plan net.safetensors -f plan.json": "recipe plan.json: is a saved plan, not a recipe; pass the plan with",
        "apply net.safetensors -o x --plan report.json": "report.json: is not a saved plan: it is a report; a report",
        "verify out.safetensors --report plan.json": "it is a saved plan; pass the plan with --plan",
        "plan net.safetensors -f fc2.weight=zeros": "no such file or directory; if it is a rule, give it with -r",
        "plan net.safetensors -f gpt2": "if you mean the preset, write -p gpt2",
        "plan net.safetensors -f auto": "if you mean the preset, write -p auto",
        "plan net.safetensors -p init.toml": "unknown preset init.toml; a recipe goes with -f",
        "plan net.safetensors -p preset:gpt2": "unknown preset preset:gpt2; did you mean -p gpt2?",
        "plan net.safetensors -p resnet": "unknown preset resnet; did you mean resnet-hf or resnet-torchvision?",
        "plan net.safetensors -p resnet50": "unknown preset resnet50; did you mean resnet-hf or resnet-torchvision?",
        "plan net.safetensors -p convnext_tiny": "did you mean convnext-hf or convnext-timm or convnext-torchvision?",
        "plan net.safetensors -p vit_base_patch16_224": "did you mean vit or vit-timm or vit-timm-jax or ",
        "plan net.safetensors -p unet": "unknown preset unet; did you mean unet-diffusers?",
        "plan net.safetensors -p mistral": "unknown preset mistral; did you mean llama? It is for model_type mistral",
    }.items(),
)
def test_what_goes_with_another_option_is_answered_with_that_option(net, call, line, told):
    rule = ("-r", "*.bias=zeros")
    call("plan", "net.safetensors", *rule, "--save", "plan.json", "--quiet")
    call("apply", "net.safetensors", *rule, "-o", "out.safetensors", "--report", "report.json", "--quiet")
    done = call(*line.split())
    assert done.status in (2, 3)
    assert told in messages(done.err)[0]


def test_flags_and_repeatable_options_may_be_given_twice(net, call):
    done = call("plan", "net.safetensors", "-q", "-q", "-r", "*.bias=zeros", "-r", "fc1.weight=ones")
    assert (done.status, done.err) == (0, "")
    assert call("plan", "-p", "a", "-p", "b", "--help").status == 0


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["plan", ""], "CHECKPOINT"),
        (["apply", "x", "-o", ""], "-o (--output)"),
        (["plan", "x", "-f", "a.toml", "-f", ""], "-f (--recipe)"),
        (["diff", "x", ""], "B"),
    ],
)
def test_an_empty_path_is_refused_with_a_question(call, arguments, name):
    done = call(*arguments)
    assert (done.status, done.err) == (2, f"initctl: error: {name} is empty; is a shell variable unset?\n")


def test_a_rule_without_its_flag_gets_a_hint(net, call):
    done = call("plan", "net.safetensors", "*.bias=zeros")
    assert done.err == ("initctl: error: unexpected argument *.bias=zeros; give each rule with -r\n")


def test_the_hint_for_missing_rules_fits_the_command(net, call):
    (planning,) = messages(call("plan", "net.safetensors").err)
    assert planning.endswith("a recipe (-f) or a preset (-p)")
    (verifying,) = messages(call("verify", "net.safetensors").err)
    assert verifying.endswith("or a preset (-p); --against ORIGINAL alone compares everything")
    same = call("verify", "net.safetensors", "--against", "net.safetensors")
    assert same.status == 0
    assert same.out.startswith("net.safetensors: holds what net.safetensors holds\n")


def test_a_rule_that_matches_nothing_in_the_original_says_so_and_asks_if_it_is_the_right_one(net, folder, call):
    checkpoint(folder / "wrong.safetensors", {"fc3.bias": ("F32", [4])})
    arguments = ("verify", "net.safetensors", "--against", "wrong.safetensors", "-r")
    assert call(*arguments, "fc1.bias=zeros").err == (
        "initctl: error: rule 1 (fc1.bias=zeros): matches no tensor of wrong.safetensors, the original; "
        "the rules fit net.safetensors; is wrong.safetensors the right original?\n"
    )
    assert call(*arguments, "fc4.bias=zeros").err == (
        "initctl: error: rule 1 (fc4.bias=zeros): matches no tensor of wrong.safetensors, the original; "
        "did you mean fc3.bias?\n"
    )


@pytest.mark.parametrize(
    ("line", "status", "told"),
    [
        ("plan net.safetensors -r fc1.bias=ones --save no/p.json", 5, "/no does not exist; create it first"),
        ("demo net.safetensors", 5, "net.safetensors: is a file; name a directory"),
        ("plan ~/net -r a=ones", 3, "~ is not expanded here (a shell expands it outside of quotes); write /"),
        ("apply net.safetensors -r fc1.bias=ones -o ~/no/x.safetensors", 5, "~ is not expanded here"),
        ("plan shards -r *=ones", 3, "b.safetensors; copy it here, or download the model again"),
        ("plan model -p auto", 3, "config.json: is not valid JSON: Expecting value at line 1, column 6; mend it"),
    ],
)
def test_a_file_that_is_missing_or_wrong_is_answered_with_what_to_do(net, folder, call, line, status, told):
    shards(folder / "shards", a={"a": ("F32", [1])}, b={"b": ("F32", [1])})
    (folder / "shards" / "b.safetensors").unlink()
    (folder / "model").mkdir()
    checkpoint(folder / "model" / "model.safetensors", {"a": ("F32", [1])})
    (folder / "model" / "config.json").write_text('{"a":')
    done = call(*line.split())
    assert done.status == status
    assert told in messages(done.err)[0]


@pytest.mark.parametrize("where", [("-o", "y"), ("--in-place",)])
def test_what_is_not_converted_needs_a_rule(net, call, where):
    before = net.read_bytes()
    done = call("apply", "net.safetensors", *where)
    assert done.status == 2
    (line,) = messages(done.err)
    assert line.startswith("initctl: error: no rules given, so there is nothing to do; ")
    assert line.endswith("or --max-shard-size 5GB for shards")
    assert net.read_bytes() == before
    assert list(net.parent.iterdir()) == [net]


def test_what_a_conversion_leaves_out_is_said_to_whoever_gives_no_rules(call, folder):
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(2)).sum().backward()
    optimizer.step()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, folder / "x.ckpt")
    (line,) = messages(call("apply", "x.ckpt", "-o", "y.ckpt").err)
    assert line.endswith("or --max-shard-size 5GB for shards; either leaves the optimizer out")
