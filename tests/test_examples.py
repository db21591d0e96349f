"""Every example runs, and does what it says."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file

import initctl
from tests.readme import environment

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(*command, cwd, **variables):
    """Run a command in `cwd`; what it prints."""
    environ = {**environment(), **variables}
    done = subprocess.run(command, cwd=cwd, env=environ, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def custom_net(tmp_path_factory):
    """What the script of the example's network writes."""
    folder = tmp_path_factory.mktemp("custom-net")
    run(sys.executable, EXAMPLES / "custom_net.py", cwd=folder)
    return folder


@pytest.fixture
def net(custom_net, tmp_path):
    """A directory with the checkpoint of the example's network, as its script writes it."""
    shutil.copy(custom_net / "net.safetensors", tmp_path)
    return tmp_path


def test_the_two_linear_layers_get_what_their_rules_say(custom_net):
    tensors = load_file(custom_net / "init.safetensors")
    assert tensors["fc1.weight"].std() == pytest.approx(0.01, rel=0.05)
    assert tensors["fc2.weight"].std() == pytest.approx((2 / 50) ** 0.5, rel=0.1)
    assert not tensors["fc1.bias"].any()
    assert not tensors["fc2.bias"].any()


def test_each_kind_of_layer_gets_its_own_law(tmp_path):
    run(sys.executable, EXAMPLES / "layer_kinds.py", cwd=tmp_path)
    tensors = load_file(tmp_path / "init.safetensors")
    assert tensors["conv.weight"].std() == pytest.approx(0.1, rel=0.1)
    assert tensors["embedding.weight"].std() == pytest.approx(0.02, rel=0.02)
    assert tensors["temperature"].std() == pytest.approx(0.5, rel=0.15)
    assert (tensors["norm1.weight"] == 1).all()
    assert (tensors["norm2.weight"] == 1).all()
    assert abs(tensors["head.weight"]).max() <= 0.04


class TestTheMakefile:
    @pytest.fixture
    def make(self, net):
        for name in ("Makefile", "rules.mk"):
            shutil.copy(EXAMPLES / name, net)
        return lambda: run("make", cwd=net)

    def test_makes_its_target_once(self, make, net):
        assert "wrote init.safetensors" in make()
        assert "up to date" in make()

    @pytest.mark.parametrize("cause", ["net.safetensors", "rules.mk"])
    def test_makes_its_target_anew_when_the_input_or_the_rules_change(self, make, net, cause):
        make()
        later = os.stat(net / "init.safetensors").st_mtime + 10
        os.utime(net / cause, (later, later))
        assert "replaced init.safetensors" in make()

    def test_makes_other_values_when_the_rules_say_so(self, make, net):
        make()
        rules = net / "rules.mk"
        rules.write_text(rules.read_text().replace("std=0.01", "std=0.5"))
        later = os.stat(net / "init.safetensors").st_mtime + 10
        os.utime(rules, (later, later))
        make()
        assert load_file(net / "init.safetensors")["fc1.weight"].std() == pytest.approx(0.5, rel=0.05)


def test_the_recipe_starts_the_last_layer_small(net):
    run("initctl", "apply", "net.safetensors", "-f", EXAMPLES / "recipe.toml", "-o", "init.safetensors", cwd=net)
    tensors = load_file(net / "init.safetensors")
    assert tensors["fc1.weight"].std() == pytest.approx((2 / 100) ** 0.5, rel=0.05)
    assert tensors["fc2.weight"].std() == pytest.approx(0.01, rel=0.1)
    assert not tensors["fc2.bias"].any()


def steps_of(path, *keys):
    """The shell of each named step of a workflow, an action or a job, in order."""
    found = yaml.safe_load((EXAMPLES / path).read_text())
    for key in keys:
        found = found[key]
    return {step["name"]: step["run"] for step in found if "run" in step}


@pytest.fixture
def step(net):
    """What runs the shell of a step in GitHub's way, with the files and folders that it offers."""
    (net / "temp").mkdir()
    offered = {"GITHUB_STEP_SUMMARY": str(net / "summary.md"), "RUNNER_TEMP": str(net / "temp")}
    shell = ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c")
    return lambda script, **given: run(*shell, script, cwd=net, **offered, **given)


def test_the_workflow_carries_out_the_plan_that_it_saved_and_checks_it(net, step):
    steps = steps_of("workflow.yml", "jobs", "initialize", "steps")
    assert list(steps) == ["Install", "Check the recipe", "Plan", "Apply", "Verify", "Doctor"]
    shutil.copy(EXAMPLES / "recipe.toml", net)
    assert "fits" in step(steps["Check the recipe"])
    assert "fc1.weight" in step(steps["Plan"], SEED="0")
    assert not (net / "init.safetensors").exists()
    shown = step(steps["Apply"])
    assert (net / "summary.md").read_text() == "".join(f"    {line}\n" for line in shown.splitlines())
    assert re.search("^    fc1.bias .* → 0 ", (net / "summary.md").read_text(), re.MULTILINE)
    assert "holds what the rules give" in step(steps["Verify"])
    assert load_file(net / "init.safetensors")["fc1.weight"].std() == pytest.approx((2 / 100) ** 0.5, rel=0.05)
    assert (net / "page.html").read_text().startswith("<!doctype html>")
    assert not step(steps["Doctor"]).count("::error")


def test_the_action_initializes_verifies_and_looks_for_faults(net, step):
    steps = steps_of("action/action.yml", "runs", "steps")
    shutil.copy(EXAMPLES / "recipe.toml", net)
    given = {"CHECKPOINT": "net.safetensors", "OUTPUT": "out.safetensors", "RECIPE": "recipe.toml", "SEED": "3"}
    assert "holds what the rules give" in step(steps["Initialize"], **given)
    assert (net / "summary.md").read_text().endswith("    wrote out.safetensors (1 file)\n")
    package = shlex.split(steps["Install"])[-1]
    path = step(f'echo "{package}"', GITHUB_ACTION_PATH=str(EXAMPLES / "action"), PACKAGE="").strip()
    assert (Path(path) / "pyproject.toml").exists()
    action = yaml.safe_load((EXAMPLES / "action" / "action.yml").read_text())
    for part in action["runs"]["steps"]:
        for value in part["env"].values():
            assert value.removeprefix("${{ inputs.").removesuffix(" }}") in action["inputs"]


@pytest.mark.parametrize(
    ("path", "keys", "name"),
    [
        ("workflow.yml", ("jobs", "initialize", "steps"), "Check the recipe"),
        ("action/action.yml", ("runs", "steps"), "Initialize"),
    ],
)
def test_a_fault_of_the_recipe_fails_the_job_and_is_an_annotation_at_its_line(net, path, keys, name):
    (net / "recipe.toml").write_text('[[rule]]\nmatch = "fc3.weight"\ninit = "zeros"\n')
    given = {"CHECKPOINT": "net.safetensors", "OUTPUT": "out.safetensors", "RECIPE": "recipe.toml", "SEED": "3"}
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", steps_of(path, *keys)[name]],
        cwd=net, env={**environment(), **given}, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 4
    assert done.stdout.startswith(
        f"::error file={net}/recipe.toml,line=2,col=10,title=rule.unused::rule 1 (fc3.weight="
    )


def test_the_gitlab_job_reports_what_it_finds_as_tests(net):
    job = yaml.safe_load((EXAMPLES / "gitlab-ci.yml").read_text())["initialize"]
    shutil.copy(EXAMPLES / "recipe.toml", net)
    for line in job["script"]:
        run("bash", "-ec", line, cwd=net)
    assert ET.parse(net / job["artifacts"]["reports"]["junit"]).getroot().tag == "testsuites"
    assert all((net / path).exists() for path in job["artifacts"]["paths"])


SBATCH = """#!/bin/bash
# Stands in for Slurm: prints the number of a job, and runs its tasks at once.
number=$(($(cat jobs 2>/dev/null || echo 40) + 1))
echo $number | tee jobs
echo "${@:1:$#-2} ${@: -1}" >> submitted
export SLURM_JOB_ID=$number SLURM_CPUS_PER_TASK=1
case "$*" in
*--array=1-3*) for id in 2 3 1; do SLURM_ARRAY_TASK_ID=$id bash "${@: -2}" >> tasks; done ;;
*) bash "${@: -2}" >> tasks ;;
esac
"""


def test_the_slurm_script_submits_an_array_of_parts_and_a_job_that_commits_them(net):
    shutil.copy(EXAMPLES / "recipe.toml", net)
    (net / "sbatch").write_text(SBATCH)
    (net / "sbatch").chmod(0o755)
    path = f"{net}{os.pathsep}{environment()['PATH']}"
    run("bash", EXAMPLES / "slurm.sh", cwd=net, PARTS="3", PATH=path, SLURM_JOB_ID="7")  # in an allocation, too
    assert (net / "submitted").read_text().splitlines() == [
        "--parsable --array=1-3 part", "--parsable --dependency=afterok:41 --kill-on-invalid-dep=yes commit"
    ]  # fmt: skip
    assert "part 2 of 3: wrote" in (net / "tasks").read_text()
    run("initctl", "apply", "net.safetensors", "-o", "once.safetensors", "-f", "recipe.toml", cwd=net)
    assert (net / "init.safetensors").read_bytes() == (net / "once.safetensors").read_bytes()
    assert not list(net.glob(".initctl-*"))


def test_a_task_of_the_slurm_array_that_failed_can_be_submitted_alone(net):
    run("initctl", "plan", "net.safetensors", "-r", "*.bias=zeros", "--save", "plan.json", cwd=net)
    slurm = {"SLURM_JOB_ID": "7", "SLURM_CPUS_PER_TASK": "1", "PARTS": "2"}
    for number in ("1", "2"):
        run("bash", EXAMPLES / "slurm.sh", "part", cwd=net, SLURM_ARRAY_TASK_ID=number, **slurm)
    assert "wrote init.safetensors" in run("bash", EXAMPLES / "slurm.sh", "commit", cwd=net, **slurm)


@pytest.mark.parametrize(
    ("hook", "file"), [("initctl-recipe-check", "recipe.toml"), ("initctl-doctor", "x.safetensors")]
)
def test_a_hook_of_pre_commit_fails_if_one_of_its_files_does(net, hook, file):
    hooks = {found["id"]: found for found in yaml.safe_load((EXAMPLES.parent / ".pre-commit-hooks.yaml").read_text())}
    shutil.copy(EXAMPLES / "recipe.toml", net)
    run("initctl", "apply", "net.safetensors", "-o", "x.safetensors", "-f", "recipe.toml", cwd=net)
    assert re.search(hooks[hook]["files"], file)
    entry = shlex.split(hooks[hook]["entry"])
    run(*entry, file, file, cwd=net)
    (net / "broken").write_text("[[")
    failed = subprocess.run([*entry, "broken", file], cwd=net, env=environment(), capture_output=True, check=False)
    assert failed.returncode in (2, 3)


def test_the_image_installs_everything_that_the_package_asks_for_but_torch():
    image = (EXAMPLES / "Dockerfile").read_text()
    project = tomllib.loads((EXAMPLES.parent / "pyproject.toml").read_text())["project"]
    asked = {re.match(r"[\w-]+", line)[0] for line in project["dependencies"]}
    (without_torch,) = re.findall(r"&& pip install --no-cache-dir ([\w\- ]+);", image)
    assert set(without_torch.split()) == asked - {"torch"}


def test_the_notebook_runs_from_its_first_cell_to_its_last(net, monkeypatch):
    monkeypatch.chdir(net)
    notebook = json.loads((EXAMPLES / "tour.ipynb").read_text())
    names = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            exec("".join(cell["source"]), names)
    assert initctl.verify(names["plan"], "init.safetensors")


@pytest.mark.parametrize(
    "command",
    [
        "check-jsonschema --builtin-schema vendor.github-workflows workflow.yml",
        "check-jsonschema --builtin-schema vendor.github-actions action/action.yml",
        "check-jsonschema --builtin-schema vendor.gitlab-ci gitlab-ci.yml",
        "pre-commit validate-manifest ../.pre-commit-hooks.yaml",
        "hadolint Dockerfile",
    ],
)
def test_the_program_that_a_part_is_for_finds_no_fault_in_it(command, tmp_path):
    program, *arguments = command.split()
    if not (found := shutil.which(program)):
        pytest.skip(f"no {program}: pip install '.[lint]' gets it")
    run(found, *arguments, cwd=EXAMPLES, XDG_CACHE_HOME=str(tmp_path))


def test_the_notebook_is_one_that_jupyter_reads():
    nbformat = pytest.importorskip("nbformat", reason="pip install '.[lint]' gets it")
    nbformat.validate(nbformat.read(EXAMPLES / "tour.ipynb", as_version=4))


def installed(package, net):
    """The folder that the example `package` is installed into, for PYTHONPATH."""
    site = net / "site"
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", site]
    source = shutil.copytree(EXAMPLES / package, net / package)
    run(sys.executable, "-m", "pip", "install", *options, source, cwd=net)
    return str(site)


def test_a_package_adds_an_initializer_once_it_is_installed(net):
    site = installed("plugin-laplace", net)
    rule = "fc1.weight=laplace:scale=0.1"
    run("initctl", "apply", "net.safetensors", "-o", "out.safetensors", "-r", rule, cwd=net, PYTHONPATH=site)
    values = load_file(net / "out.safetensors")["fc1.weight"]
    assert abs(values).mean() == pytest.approx(0.1, rel=0.05)
    assert "laplace:scale=1" in run("initctl", "initializers", cwd=net, PYTHONPATH=site)


def test_a_package_adds_a_format_once_it_is_installed(net):
    site = installed("plugin-npz", net)
    arrays = {"kernel": np.asfortranarray(np.arange(12, dtype=np.float32).reshape(3, 4)), "step": np.int64(7)}
    np.savez(net / "net.npz", **arrays)
    listed = run("initctl", "inspect", "net.npz", cwd=net, PYTHONPATH=site)
    assert "kernel  [3, 4]  float32" in listed
    assert "2 tensors" in listed
    rules = ("-r", "kernel[1:]=zeros")
    assert "kernel[1:3]" in run("initctl", "plan", "net.npz", *rules, cwd=net, PYTHONPATH=site)
    run("initctl", "apply", "net.npz", "-o", "out.safetensors", *rules, cwd=net, PYTHONPATH=site)
    run("initctl", "verify", "out.safetensors", "--against", "net.npz", *rules, cwd=net, PYTHONPATH=site)
    tensors = load_file(net / "out.safetensors")
    assert tensors["kernel"].tolist() == [[0, 1, 2, 3], [0] * 4, [0] * 4]
    assert tensors["step"] == 7
