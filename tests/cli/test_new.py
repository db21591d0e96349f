"""`initctl new` from a shell: what it prints, its JSON, its errors, and what is left if it is ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
import transformers
from safetensors.torch import load_file

import initctl
from tests.cli.checkpoints import NET, OLD, checkpoint
from tests.cli.processes import SCRIPT, environment, messages
from tests.cli.processes import initctl as command
from tests.presets.fresh import quiet
from tests.schemas import schema

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.processes import Outcome

    Call = Callable[..., Outcome]

RULES = ("-r", "*.weight=normal:std=0.02", "-r", "*.bias=zeros")
LARGE = {"tensors": [{"name": "w", "dtype": "float32", "shape": [1 << 29]}]}
"""Two gigabytes."""


@pytest.fixture
def llama(folder: Path) -> Path:
    """The configuration of a small Llama."""
    config = transformers.LlamaConfig(
        vocab_size=50, hidden_size=16, intermediate_size=24, num_hidden_layers=3, num_attention_heads=2
    )
    config.architectures = ["LlamaForCausalLM"]
    config.save_pretrained(folder / "llama")
    return folder / "llama"


def test_the_result_is_a_table_and_two_lines(net: Path, call: Call):
    done = call("new", "--like", "net.safetensors", "-o", "out.safetensors", *RULES)
    assert done.err == ""
    *_, blank, totals, place = done.out.splitlines()
    assert (blank, place) == ("", "wrote out.safetensors (1 file)")
    assert totals.startswith("created ")
    assert totals.endswith("; seed 0")
    assert "initialized" not in done.out
    assert call("verify", "out.safetensors", *RULES).status == 0
    assert call("new", "--like", "net.safetensors", "-o", "out.safetensors", *RULES).out.endswith(
        "replaced out.safetensors (1 file)\n"
    )


def test_a_dry_run_says_what_would_be_written(llama: Path, call: Call):
    done = call("new", "--config", "llama", "-o", "out", "--dry-run")
    assert done.out.splitlines()[-2:] == [
        "create 30 tensors (8,240 elements, 33.0 kB); seed 0",
        "would write out (3 files)",
    ]
    assert "preset llama: rule 1" in done.out
    assert sorted(path.name for path in llama.parent.iterdir()) == ["llama"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--like", "net.safetensors", *RULES),
        ("--table", "table.json", *RULES, "-r", "steps=zeros"),
        ("--config", "llama"),
        ("--like", "no", *RULES),
    ],
)
@pytest.mark.parametrize("dry", [True, False])
def test_every_document_fits_the_schema(net: Path, llama: Path, call: Call, arguments: tuple[str, ...], *, dry: bool):
    (net.parent / "table.json").write_text(call("inspect", "net.safetensors", "--json").out)
    document = call("new", *arguments, "-o", "out", "--json", *(["--dry-run"] if dry else [])).document
    schema("new").validate(document["data"])
    assert document["command"] == "new"
    if arguments[1] == "no":
        assert document["data"] is None
    else:
        assert (document["data"]["output"], document["data"]["written"]) == ("out", not dry)
        assert bool(list(net.parent.glob("out"))) is not dry
        assert any(name.endswith(".safetensors") for name in document["data"]["files"])


def test_settings_are_given_in_one_option_or_in_several(llama: Path, call: Call):
    fields = ("--set", "num_hidden_layers=1,vocab_size=20", "--set", 'architectures=["LlamaModel"]')
    assert call("new", "--config", "llama/config.json", *fields, "-o", "tiny").status == 0
    config = json.loads((llama.parent / "tiny" / "config.json").read_text())
    assert (config["num_hidden_layers"], config["vocab_size"], config["architectures"]) == (1, 20, ["LlamaModel"])
    assert "lm_head.weight" not in load_file(llama.parent / "tiny" / "model.safetensors")


def test_the_command_and_the_function_write_the_same(llama: Path, call: Call):
    options = ("--dtype", "bfloat16", "--seed", "7", "-r", "lm_head.weight=zeros", "--max-shard-size", "8KB")
    assert call("new", "--config", "llama", "-o", "a", *options, "-q").status == 0
    initctl.new("b", config="llama", dtype="bfloat16", seed=7, rules=["lm_head.weight=zeros"], max_shard_size="8KB")
    a, b = ({path.name: path.read_bytes() for path in (llama.parent / name).iterdir()} for name in "ab")
    assert a == b
    assert len(a) > 4


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("--like", "net.safetensors", *RULES), 2, "no output given; use -o OUT"),
        ((*RULES, "-o", "out"), 2, "no source given; name one: --like, --config or --table"),
        (("--like", "net.safetensors", "-o", "out"), 2, "no rules given"),
        (("--like", "net.safetensors", "--table", "t", "-o", "out", *RULES), 2, "exclude each other"),
        (("--like", "net.safetensors", "-o", "out.pt", *RULES), 2, "a new checkpoint is written as safetensors"),
        (("--like", "net.safetensors", "-o", "-", *RULES), 2, "initctl writes files, not to stdout"),
        (("--like", "net.safetensors", "-o", "out", "--set", "a=1", *RULES), 2, "needs --config"),
        (("--config", "llama", "-o", "out", "--set", "a"), 2, "a is not KEY=VALUE"),
        (
            ("--config", "llama", "-o", "out", "--set", "hiden_size=1"),
            2,
            "hiden_size; did you mean hidden_size?",
        ),
        (("--config", "llama", "-o", "out", "--set", "num_attention_heads=5"), 3, "transformers cannot build this"),
        (("--config", "llama", "-o", "out", "--dtype", "bf"), 2, "is not a floating-point dtype"),
        (("--config", "", "-o", "out"), 2, "--config is empty"),
        (("--config", "org/model", "-o", "out"), 3, "run hf download org/model config.json first"),
        (("--table", "net.safetensors", "-o", "out", *RULES), 3, "is not a table of tensors"),
        (("--like", "net.safetensors", "-o", "out", "-r", "*.bias=zeros"), 4, "no rule decides"),
        (
            ("--like", "net.safetensors", "-o", "out", "--force", "--no-clobber", *RULES),
            2,
            "--no-clobber replaces none",
        ),
        (("net.safetensors", "-o", "out"), 2, "unexpected argument net.safetensors; write --like net.safetensors"),
        (("llama", "-o", "out"), 2, "unexpected argument llama; write --config llama"),
        (("llama/config.json", "-o", "out"), 2, "json; write --config llama/config.json"),
        (("none", "-o", "out"), 2, "unexpected argument none; see initctl new --help"),
        (("llama", "--config", "llama", "-o", "out"), 2, "unexpected argument llama; see initctl new --help"),
        (("llama", "--config", "llama"), 2, "unexpected argument llama; write -o llama to write the result there"),
        (("--like", "net.safetensors", "-o", "out", "--root", "model", *RULES), 2, "there is no tensor under model"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_nothing(
    net: Path, llama: Path, call: Call, arguments: tuple[str, ...], status: int, message: str
):
    done = call("new", *arguments)
    assert (done.status, done.out) == (status, "")
    (line,) = messages(done.err)
    assert line.startswith("initctl: error: ")
    assert message in line
    assert sorted(path.name for path in net.parent.iterdir()) == ["llama", "net.safetensors"]


def test_weights_that_a_recipe_leaves_lead_to_the_preset_and_to_the_topic_about_new_checkpoints(
    llama: Path, call: Call
):
    (llama.parent / "r.toml").write_text('[[rule]]\nmatch = "*norm*"\ninit = "ones"\n')
    done = call("new", "--config", "llama", "-o", "out", "-f", "r.toml")
    assert done.err.endswith("; use -p auto (preset llama), or add a rule that fills them\nsee: initctl help new\n")
    assert call("new", "--config", "llama", "-o", "out", "-f", "r.toml", "-p", "auto").status == 0


def test_transformers_writes_nothing_to_the_terminal(llama: Path):
    text = json.loads((llama / "config.json").read_text()) | {"bos_token_id": 900, "torch_dtype": "float16"}
    (llama / "config.json").write_text(json.dumps(text))
    assert command("new", "--config", str(llama), "-o", str(llama.parent / "out"), "-q") == command("version", "-q")
    with quiet():
        transformers.AutoModelForCausalLM.from_pretrained(llama.parent / "out")


def test_code_in_the_working_directory_or_beside_the_configuration_is_not_run(llama: Path):
    for folder in (llama, llama.parent):
        for name in ("torch", "transformers", "modeling_mine", "json"):
            (folder / f"{name}.py").write_text("raise SystemExit('this ran')")
    text = json.loads((llama / "config.json").read_text()) | {"auto_map": {"AutoModel": "modeling_mine.Mine"}}
    (llama / "config.json").write_text(json.dumps(text))
    code = (
        f"import os; os.chdir({str(llama.parent)!r}); os.execv({SCRIPT[0]!r}, {[*SCRIPT, 'new', '--config', 'llama']!r}"
    )
    run = command("-c", f"{code} + ['-o', 'out', '-q'])", command=[sys.executable])
    assert run == command("version", "-q")
    assert (llama.parent / "out" / "config.json").exists()
    assert "auto_map" not in (llama.parent / "out" / "config.json").read_text()


def test_a_process_that_dies_while_it_builds_a_model_is_one_line(llama: Path):
    dying = "import os, sys\nif sys.argv[0] == '-c': print('no room', file=sys.stderr, flush=True); os._exit(9)"
    (llama.parent / "sitecustomize.py").write_text(dying)
    run = command("new", "--config", str(llama), "-o", str(llama.parent / "out"), PYTHONPATH=_path(llama.parent))
    (line,) = messages(run.err)
    assert (run.status, run.out) == (5, "")
    assert line.endswith("the process that builds the model ended with status 9: no room")
    assert not (llama.parent / "out").exists()


def _path(*folders: Path) -> str:
    return os.pathsep.join([*map(str, folders), os.environ.get("PYTHONPATH", "")])


@pytest.mark.parametrize("out", ["out.safetensors", "out"])
def test_a_run_that_is_ended_leaves_what_was_there(folder: Path, out: str):
    (folder / "table.json").write_text(json.dumps(LARGE))
    old = folder / "out.safetensors"
    old.write_bytes(OLD)
    process = subprocess.Popen(
        [*SCRIPT, "new", "--table", "table.json", "-o", out, "-r", "w=normal"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        cwd=folder,
    )
    while process.poll() is None and not _is_written(folder):
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=60) == (b"", b"initctl: error: interrupted by SIGTERM\n")
    assert process.returncode == 143
    assert sorted(path.name for path in folder.iterdir()) == ["out.safetensors", "table.json"]
    assert old.read_bytes() == OLD


def _is_written(folder: Path) -> bool:
    paths = (path for staged in folder.glob(".initctl-*.tmp") for path in (staged, *staged.glob("*")))
    return any(path.is_file() and path.stat().st_blocks for path in paths)


def test_other_names_for_the_command_lead_to_it(call: Call):
    assert messages(call("create").err) == ["initctl: error: unknown command create; did you mean new?"]


def test_dtypes_are_completed(call: Call):
    assert call("completion", "--line", "initctl new --dtype bf", "--word", "bf").out.split() == ["bfloat16"]


def test_a_source_without_transformers_loads_none(folder: Path):
    checkpoint(folder / "net.safetensors", NET)
    code = (
        "import sys\nfrom initctl.cli.main import run\n"
        "assert run('new --like net.safetensors -o out -r *=ones'.split()) == 0\n"
        "assert not {'torch', 'transformers'} & sys.modules.keys()"
    )
    subprocess.run(["python", "-c", code], cwd=folder, check=True, capture_output=True, env=environment())
