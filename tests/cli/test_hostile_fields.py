"""Hostile text in every field that people or files fill: nothing of it reaches a terminal or a log raw.

Each place plants a text, and all commands are run on it. What comes out is safe as a whole: that is the printing's last
defense. Messages in JSON are printable one by one: that is where a sentence forgot to show a text.
"""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
import torch.distributed.checkpoint as dcp
from safetensors.torch import save_file

import initctl as package
from initctl.planning.documents import signed
from tests.cli.checkpoints import checkpoint
from tests.cli.processes import on_terminal
from tests.cli.test_hostile_names import DRAWN
from tests.hostile import PLANTED, TEXTS, is_safe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.cli.processes import Outcome

    Lines = "Iterator[tuple[str, ...]]"


def as_utf8(text: str) -> str:
    """`text` without what UTF-8 cannot hold."""
    return text.replace("\ud800", "")


NET = {"fc.weight": ("F32", (4, 3)), "fc.bias": ("F32", (4,))}
everything = pytest.mark.parametrize("text", PLANTED.values(), ids=PLANTED)
as_text = pytest.mark.parametrize("text", [as_utf8(text) for text in PLANTED.values()], ids=PLANTED)


def quoted(text: str) -> str:
    """As a string of TOML."""
    return json.dumps(text, ensure_ascii=False)


def rules_with(text: str) -> Lines:
    for rule in (
        text,
        f"{text}=zeros",
        f"*=normal:std={text}",
        f"*=normal:{text}=1",
        f"*={text}",
        f"*.weight[{text}]=zeros",
        f"*.weight[0:{text}]=zeros",
        f"re:({text}=zeros",
        f"{{a,{text}}}=zeros",
        f"fc.weight=copy:from={text}",
        f"fc.weight=copy:from={text}#{text}",
        f'*=normal:std="{text}"',
        f"*=constant:val={text}+(",
        f"*=kaiming_normal:mode={text}",
        f"*=kaiming_normal:layout={text}",
    ):
        yield "plan", "net.safetensors", "-r", rule
        yield "apply", "net.safetensors", "-o", "out.safetensors", "-r", "*=ones", "-r", rule, "--allow-unused", "-v"


def recipes_with(text: str) -> Iterator[str]:
    value = quoted(text)
    rule = "[[rule]]\nmatch = '*'\n"
    yield f"{rule}init = {value}\n"
    yield f"{rule}init = 'normal'\nstd = {value}\n"
    yield f"{rule}init = 'normal'\n{value} = 1\n"
    yield f"{rule}init = 'ones'\nwhere = {value}\n"
    yield f"[[rule]]\nmatch = {value}\ninit = 'ones'\n"
    yield f"[[rule]]\nmatch = ['*', {value}]\ninit = 'ones'\n"
    yield f"{value} = 1\n{rule}init = 'ones'\n"
    yield f"extends = [{value}]\n{rule}init = 'ones'\n"
    yield f"seed = {value}\n{rule}init = 'ones'\n"
    yield f"[vars]\n{value} = 1\n{rule}init = 'ones'\n"
    yield f"[vars]\nx = {value}\n{rule.replace('[[rule]]', '[[rule]]')}init = 'normal'\nstd = 'x'\n"
    yield f"[config]\n{value} = {value}\n{rule}init = 'ones'\n"
    yield f"{rule}init = 'ones'\n[[rule]]\nmatch = 'fc.weight'\ninit = 'copy'\nfrom = {value}\n"
    yield f"not toml {text}\n"


def commands_on(path: str) -> Lines:
    for rule in ("fc.bais=ones", "*=eye", "*.bias=keep"):
        yield "plan", path, "-r", rule
    yield "plan", path, "-r", "*=normal", "--all", "--verbose"
    yield "plan", path, "-p", "auto"
    yield "plan", path, "-r", "*=normal:std=config.width", "--emit-recipe"
    yield "inspect", path, "--all"
    yield "inspect", path, "--root", "nowhere"
    yield "apply", path, "-o", "out", "-r", "*=normal", "--verbose"
    yield "apply", path, "-o", "out.safetensors", "-r", "*=normal", "--reset-optimizer"
    yield "verify", path, "-r", "*=normal"


def check(call: Callable[..., Outcome], *arguments: str) -> None:
    plain = call(*arguments)
    assert is_safe(plain.out), arguments
    assert is_safe(plain.err), arguments
    assert "this is a bug" not in plain.err, (arguments, plain.err)
    data = call(*arguments, "--json")
    assert data.out.isascii()
    assert is_safe(data.out), arguments
    assert is_safe(data.err), arguments
    if data.out:
        told = [*data.document["warnings"], *data.document["errors"]]
        assert all(text.isprintable() for one in told for text in (one["message"], one["hint"] or "")), told


def check_all(call: Callable[..., Outcome], lines: Lines) -> None:
    for line in lines:
        check(call, *line)


@everything
class TestWhatIsTyped:
    def test_as_a_rule(self, folder: Path, call: Callable[..., Outcome], text: str):
        checkpoint(folder / "net.safetensors", NET)
        check_all(call, rules_with(text))

    def test_as_a_name_or_an_option(self, folder: Path, call: Callable[..., Outcome], text: str):
        text = text.replace("\ud800", "\udc80")  # a byte that is not UTF-8
        checkpoint(folder / "net.safetensors", NET)
        for line in (
            ("presets", text),
            ("initializers", text),
            ("inspect", text),
            ("inspect", f"{text}/{text}"),
            ("inspect", f"https://{text}"),
            ("inspect", "net.safetensors", "--root", text),
            ("plan", "net.safetensors", "-p", text),
            ("plan", "net.safetensors", "-f", text),
            ("plan", "net.safetensors", "-r", "*=ones", "--rng", text),
            ("plan", "net.safetensors", "-r", "*=ones", "--device", text),
            ("plan", "net.safetensors", "-r", "*=ones", "--seed", text),
            ("plan", "net.safetensors", "-r", "*=ones", "--save", f"{text}/{text}"),
            ("apply", "net.safetensors", "--plan", text, "-o", "out.safetensors"),
            ("apply", "net.safetensors", "-r", "*=ones", "-o", f"{text}/{text}"),
            ("apply", "net.safetensors", "-r", "*=ones", "-o", "out", "--max-shard-size", text),
            ("verify", "net.safetensors", "-r", "*=ones", "--against", text),
            ("plan", "net.safetensors", "-r", "*=ones", "--component", text),
            ("plan", "net.safetensors", "-r", "*=normal:std=base.x", "--base-config", text),
            (
                "apply",
                "net.safetensors",
                "-r",
                "*=ones",
                "-o",
                "out.safetensors",
                "--buffers",
                text,
                "--reset-optimizer",
            ),
            ("demo", f"{text}/{text}"),
            (text,),
            ("plan", f"--{text}"),
        ):
            check(call, *line)


class TestWhatFilesHold:
    @as_text
    def test_a_recipe(self, folder: Path, call: Callable[..., Outcome], text: str):
        checkpoint(folder / "net.safetensors", NET)
        for number, recipe in enumerate(recipes_with(text)):
            (folder / f"{number}.toml").write_text(recipe, "utf-8", newline="")
            check(call, "plan", "net.safetensors", "-f", f"{number}.toml")
            check(call, "plan", "net.safetensors", "-f", f"{number}.toml", "--emit-recipe")
            check(call, "apply", "net.safetensors", "-f", f"{number}.toml", "-o", "out.safetensors")

    @everything
    @pytest.mark.parametrize("key", ["source", "rule", "tensor", "init", "device", "from"])
    def test_a_saved_plan(self, folder: Path, call: Callable[..., Outcome], key: str, text: str):
        checkpoint(folder / "net.safetensors", NET)
        checkpoint(folder / "other.safetensors", NET)
        rule = "fc.weight=copy:from=other.safetensors#fc.weight" if key == "from" else "fc.weight=normal"
        assert call("plan", "net.safetensors", "-r", rule, "--save", "plan.json").status == 0
        document = json.loads((folder / "plan.json").read_text())
        for action in document["actions"]:
            where = action["arguments"] if key == "from" else action
            where[key] = text
        document["sources"] |= dict.fromkeys([text], "x")
        (folder / "plan.json").write_text(json.dumps(signed(document)))
        check(call, "apply", "net.safetensors", "--plan", "plan.json", "-o", "out.safetensors")
        check(call, "verify", "net.safetensors", "--plan", "plan.json")
        for field in ("schema", "root", "checkpoint", "rng", "seed", "table"):
            (folder / "plan.json").write_text(json.dumps(signed({**document, field: text})))
            check(call, "apply", "net.safetensors", "--plan", "plan.json", "-o", "out.safetensors")

    @everything
    def test_config_json(self, folder: Path, call: Callable[..., Outcome], text: str):
        checkpoint(folder / "net.safetensors", NET)
        for config in ({"model_type": text}, {"width": text, text: 1}, {"model_type": {text: [text]}}, [text]):
            (folder / "config.json").write_text(json.dumps(config))
            check_all(call, commands_on("net.safetensors"))
            check(call, "plan", "net.safetensors", "-r", f"*=normal:std=config.{text}".replace("\0", ""))
            check(call, "inspect", "config.json")

    @everything
    def test_an_index(self, folder: Path, call: Callable[..., Outcome], text: str):
        checkpoint(folder / "a.safetensors", NET)
        for document in (
            {"weight_map": {text: "a.safetensors"}},
            {"weight_map": {"fc.weight": text}},
            {"weight_map": {text: 1}},
            {"weight_map": dict.fromkeys(NET, "a.safetensors"), "metadata": {text: text}, text: text},
            {text: text},
            {"error": text},
        ):
            (folder / "model.safetensors.index.json").write_text(json.dumps(document))
            check(call, "inspect", "model.safetensors.index.json")
            check(call, "plan", ".", "-r", "*=normal")

    @everything
    def test_names_and_metadata(self, folder: Path, call: Callable[..., Outcome], text: str):
        text = as_utf8(text)
        names = {text: ("F32", (2, 2)), f"{text}.bias": ("I32", (2,)), f"layers.1.{text}": ("F32", (3,))}
        checkpoint(folder / "net.safetensors", names, {"format": "pt", text: text, f"{text}2": "1"})
        check_all(call, commands_on("net.safetensors"))

    @everything
    def test_names_keys_and_calls_of_a_pickle(self, folder: Path, call: Callable[..., Outcome], text: str):
        class Named:
            def __reduce__(self) -> object:
                return Named, (text,)

        Named.__module__, Named.__qualname__ = __name__, "Named"
        content = {
            "state_dict": {text: torch.zeros(2, 2), f"{text}.bias": torch.zeros(2)},
            text: text,
            f"{text}2": {text: torch.zeros(2)},
            "optimizer": {
                "state": {0: {text: torch.zeros(2), "step": 1}},
                "param_groups": [{"params": [0], text: text}],
            },
        }
        for new in (True, False):
            torch.save(content, folder / "net.pt", _use_new_zipfile_serialization=new)
            check_all(call, commands_on("net.pt"))
        plain = as_utf8(text).encode()
        length = bytes([len(plain)])
        pickle = b"\x80\x04}\x8c\x01w" + b"\x8c" + length + plain + b"\x8c" + length + plain + b"\x93)Rs."
        from tests.broken.torch_faults import REAL
        from tests.formats.torch_save.rewritten import with_pickle

        (folder / "called.pt").write_bytes(with_pickle(REAL, pickle))
        check_all(call, commands_on("called.pt"))

    @as_text
    @pytest.mark.filterwarnings("ignore")
    def test_a_directory_of_torch_distributed(self, folder: Path, call: Callable[..., Outcome], text: str):
        dcp.save({text: torch.zeros(2), "b": {text: torch.zeros(2)}}, checkpoint_id=folder / "d", no_dist=True)
        (folder / "d" / f"{text.replace('/', '')}.distcp").touch()
        check_all(call, commands_on("d"))

    @everything
    def test_names_of_files(self, folder: Path, call: Callable[..., Outcome], text: str):
        name = text.replace("/", "").replace("\ud800", "\udc80")
        (folder / name).mkdir()
        save_file({"fc.weight": torch.zeros(2, 2)}, folder / "model.safetensors")
        (folder / "model.safetensors").rename(folder / name / f"{name}.safetensors")
        (folder / name / f"{name}.txt").touch()
        (folder / name / f"{name}.link").symlink_to(f"/nowhere/{name}")
        check_all(call, commands_on(name))
        check_all(call, commands_on(f"{name}/{name}.safetensors"))
        (folder / name / f"{name}2.safetensors").write_text(as_utf8(text), "utf-8")
        check(call, "inspect", name)
        check(call, "inspect", f"{name}/{name}2.safetensors")
        (folder / f"{name}.toml").write_text("[[rule]]\nmatch = 'x'\ninit = 'ones'\n")
        check(call, "plan", f"{name}/{name}.safetensors", "-f", f"{name}.toml")
        check(call, "plan", f"{name}/{name}.safetensors", "-f", f"{name}.toml", "--allow-unused")


@pytest.mark.parametrize("columns", [1, 9, 30, 80])
def test_a_terminal_of_any_width_gets_no_raw_text(folder: Path, columns: int):
    texts = list(map(as_utf8, (*TEXTS.values(), *PLANTED.values())))
    checkpoint(folder / "net.safetensors", dict.fromkeys(texts, ("F32", (2, 2))), {text: text for text in texts})
    checkpoint(folder / "::error::x.safetensors", {"w": ("F32", (2, 2))})
    for line in (
        ("inspect", "net.safetensors", "--all"),
        ("plan", "net.safetensors", "-r", "*=copy:from=::error::x.safetensors#w", "--all"),
        ("plan", "net.safetensors", "-r", "*=normal:std=##vso[x]y"),
    ):
        assert is_safe(DRAWN.sub("", on_terminal(*line, columns=columns).out))


def test_a_copy_s_source_is_shown_whole_and_safe(folder: Path, call: Callable[..., Outcome]):
    checkpoint(folder / "net.safetensors", {"w": ("F32", (2, 2))})
    checkpoint(folder / "a\x1b[31m\n::error::x", {"w": ("F32", (2, 2))})
    done = call("plan", "net.safetensors", "-r", "w=copy:from=a\x1b[31m\n::error::x#w")
    assert done.status == 0, done.err
    assert r"copy from=a\x1b[31m\x0a::error::x#w" in done.out


def test_a_harmless_rule_is_shown_as_it_was_typed(folder: Path, call: Callable[..., Outcome]):
    checkpoint(folder / "net.safetensors", {"layers.10.w": ("F32", (4, 2))})
    done = call("plan", "net.safetensors", "-r", r"re:layers\.\d+\.w=ones")
    assert r"rule 1: re:layers\.\d+\.w " in done.out
    done = call("plan", "net.safetensors", "-r", "layers.10.w[::2]=ones")
    assert "initctl: error: rule 1 (layers.10.w[::2]=ones): [::2]: a slice of rows cannot have a step" in done.err
    assert done.err.splitlines()[1:3] == ["  layers.10.w[::2]=ones", "             ^^^^^"]


def test_the_reported_faults_do_not_come_back(folder: Path, call: Callable[..., Outcome]):
    checkpoint(folder / "net.safetensors", NET)
    (folder / "r.toml").write_text('[[rule]]\nmatch = "*"\ninit = "normal"\nstd="::error file=a.py::x"\n')
    for line in (("-f", "r.toml"), ("-r", "*.weight=normal:std=##vso[task.x]y")):
        done = call("plan", "net.safetensors", *line)
        assert done.status == 2
        assert is_safe(done.err)


def test_nothing_else_prints():
    """Whoever writes to a stream but `initctl.cli.streams` would have to escape on its own."""
    root = Path(package.__file__).parent
    printing = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and (
            (isinstance(node.func, ast.Name) and node.func.id == "print")
            or (isinstance(node.func, ast.Attribute) and node.func.attr in ("echo", "secho"))
            or ast.unparse(node.func) in ("sys.stdout.write", "sys.stderr.write")
        )
    }
    assert printing == {"cli/streams.py"}


def test_what_is_planted_is_hostile():
    assert not any(map(is_safe, PLANTED.values()))
