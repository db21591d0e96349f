"""`initctl demo`: a tour on a small network, anywhere."""

from __future__ import annotations

import os

from safetensors.numpy import load_file

from tests.cli.processes import MODULE, initctl


def test_without_a_directory_it_leaves_its_files_in_a_new_one_that_it_names(folder):
    done = initctl("demo", TMPDIR=str(folder))
    (made,) = folder.iterdir()
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines()[-1].startswith(f"The files are in {made}: ")
    assert sorted(os.listdir(made)) == ["init.safetensors", "net.safetensors"]


def test_in_a_directory_it_leaves_the_checkpoint_and_the_result(folder):
    done = initctl("demo", "new/demo", "--json", command=MODULE)
    assert (done.status, done.err) == (0, "")
    assert (done.document["command"], done.document["data"]["verified"]) == ("demo", True)
    model, initialized = (load_file(f"new/demo/{name}.safetensors") for name in ("net", "init"))
    assert model.keys() == initialized.keys()
    assert not initialized["fc1.bias"].any()
    assert (initialized["norm.weight"] == model["norm.weight"]).all()


def test_in_this_process_it_says_the_same(call):
    first, second = call("demo", "one-place"), call("demo", "other-place")
    assert first.status == 0
    assert first.out.replace("one-place", "other-place") == second.out
    assert call("demo", "--quiet").out == ""


def test_a_model_of_that_name_is_not_replaced(folder, call):
    (folder / "net.safetensors").write_bytes(b"precious")
    done = call("demo", ".")
    assert done == type(done)(6, "", "initctl: error: ./net.safetensors: exists; name another directory\n")
    assert [path.read_bytes() for path in folder.iterdir()] == [b"precious"]


def test_a_place_where_nothing_can_be_written_is_the_environments_fault(folder, call):
    (folder / "file").touch()
    done = call("demo", "file", "--json")
    assert (done.status, done.err) == (5, "initctl: error: file: is a file; name a directory\n")
    assert done.document["errors"][0]["code"] == "storage.failed"
