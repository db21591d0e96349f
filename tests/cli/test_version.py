"""`initctl version` says what a bug report needs."""

from __future__ import annotations

import platform
from importlib.metadata import version

import initctl
from initctl.installation import PACKAGES
from tests.cli.processes import initctl as run


def test_versions_engine_cache_and_devices_are_shown(call):
    shown = dict(line.split(maxsplit=1) for line in call("version").out.splitlines())
    assert shown["initctl"] == initctl.__version__
    assert shown["python"].startswith(platform.python_version())
    assert {name: shown[name] for name in PACKAGES} == {name: version(name) for name in PACKAGES}
    assert shown["engine"].startswith("compiled")
    assert shown["devices"].startswith("cpu")


def test_json_has_the_same(call):
    data = call("version", "--json").document["data"]
    assert list(data) == ["version", "python", "system", "packages", "engine", "cache", "processors", "devices"]
    assert data["packages"]["numpy"] == version("numpy")


def test_the_cache_is_where_the_environment_puts_it(folder):
    assert run("version", "--json", XDG_CACHE_HOME=str(folder)).document["data"]["cache"] == str(folder / "initctl")
