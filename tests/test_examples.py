"""Every example runs, and does what it says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file

from tests.readme import environment

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(*command, cwd, **variables):
    """Run a command in `cwd`; what it prints."""
    environ = {**environment(), **variables}
    done = subprocess.run(command, cwd=cwd, env=environ, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def net(tmp_path):
    """A directory with the checkpoint of the example's network, as its script writes it."""
    run(sys.executable, EXAMPLES / "custom_net.py", cwd=tmp_path)
    (tmp_path / "init.safetensors").unlink()
    return tmp_path


def test_the_two_linear_layers_get_what_their_rules_say(tmp_path):
    run(sys.executable, EXAMPLES / "custom_net.py", cwd=tmp_path)
    tensors = load_file(tmp_path / "init.safetensors")
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
        assert "wrote init.safetensors" in make()

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


def test_the_workflow_carries_out_the_plan_that_it_saved_and_checks_it(net):
    workflow = yaml.safe_load((EXAMPLES / "workflow.yml").read_text())
    steps = {step["name"]: step["run"] for step in workflow["jobs"]["initialize"]["steps"] if "run" in step}
    assert list(steps) == ["Install", "Plan", "Apply", "Verify"]
    shutil.copy(EXAMPLES / "recipe.toml", net)
    assert "fc1.weight" in run("bash", "-ec", steps["Plan"], cwd=net, SEED="0")
    assert not (net / "init.safetensors").exists()
    run("bash", "-ec", steps["Apply"], cwd=net)
    assert "holds what the rules give" in run("bash", "-ec", steps["Verify"], cwd=net)
    assert load_file(net / "init.safetensors")["fc1.weight"].std() == pytest.approx((2 / 100) ** 0.5, rel=0.05)


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
