"""What is beside a checkpoint's tensors: links, other weights, and the same model in other files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

import pytest

import initctl
from initctl.formats import read_checkpoint
from tests.formats.handwritten import float_file, sharded

if TYPE_CHECKING:
    from pathlib import Path

RULES = ["w=ones"]


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"old")


def warned(path: Path, **options: str) -> dict[str, str]:
    """The warnings about a checkpoint, by code."""
    found = read_checkpoint(path, **options).warnings
    return {problem.code: problem.message.removeprefix(f"{path}: ") for problem in found}


STALE = {
    "the pickle that transformers falls back on": ["pytorch_model.bin"],
    "its shards and index": ["pytorch_model-00001-of-00001.bin", "pytorch_model.bin.index.json"],
    "other libraries' formats": ["flax_model.msgpack", "rust_model.ot", "tf_model.h5"],
    "variants": ["model.fp16.safetensors", "model.non_ema.bin"],
    "shards of a variant": ["model.fp32-00001-of-00001.safetensors", "model.safetensors.index.fp32.json"],
    "shards of an earlier save": ["model-00001-of-00005.safetensors"],
    "exports": ["model.onnx", "model.tflite", "whatever-Q4_K_M.gguf"],
    "exports in folders": ["onnx/decoder.onnx", "openvino/openvino_model.bin", "openvino/openvino_model.xml"],
    "Meta's own": ["original/consolidated.00.pth"],
    "Mistral's own": ["consolidated.safetensors"],
    "gpt-oss": ["metal/model.bin", "original/model.safetensors"],
    "TensorFlow 1": ["model.ckpt.data-00000-of-00001", "model.ckpt.index"],
}
NOT_STALE = {
    "adapters": ["adapter_model.safetensors"],
    "another model": ["vae.safetensors"],
    "the state of training": ["optimizer.bin", "optimizer.pt", "scheduler.pt", "training_args.bin", "rng_state.pth"],
    "another checkpoint": ["checkpoint-500/model.safetensors", "checkpoint-500/pytorch_model.bin"],
    "another component": ["2_Dense/model.safetensors"],
    "other files": ["config.json", "model.md", "original/params.json", "tokenizer.model", "onnx/config.json"],
    "hidden files": ["._pytorch_model.bin", ".pytorch_model.bin"],
}


@pytest.mark.parametrize("kind", STALE)
def test_the_same_model_in_another_file_is_warned_about(tmp_path: Path, kind: str):
    sharded(tmp_path, {"a.safetensors": ("w",)})
    put(tmp_path, *STALE[kind])
    found = read_checkpoint(tmp_path)
    assert sorted(found.stale) == sorted(STALE[kind])
    (warning,) = found.warnings
    assert warning.code == "directory.stale"
    assert ": also contains the same model in " in warning.message
    assert warning.hint == "apply requires --stale drop, which leaves such files out, or --stale keep"


@pytest.mark.parametrize("kind", NOT_STALE)
def test_what_holds_another_model_or_none_is_not_taken_for_it(tmp_path: Path, kind: str):
    sharded(tmp_path, {"a.safetensors": ("w",)})
    put(tmp_path, *NOT_STALE[kind])
    assert read_checkpoint(tmp_path).stale == ()


@pytest.mark.parametrize(
    ("chosen", "stale"),
    [
        ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"),
        ("diffusion_pytorch_model.safetensors", "diffusion_flax_model.msgpack"),
        ("adapter_model.safetensors", "adapter_model.bin"),
        ("open_clip_model.safetensors", "open_clip_pytorch_model.bin"),
        ("model.safetensors.index.json", "pytorch_model.bin"),
        ("net.safetensors", "net.pt"),
    ],
)
def test_it_is_found_by_the_stem_of_whatever_was_chosen(tmp_path: Path, chosen: str, stale: str):
    if chosen.endswith(".json"):
        sharded(tmp_path, {"a.safetensors": ("w",)})
    else:
        float_file(tmp_path / chosen, "w")
    put(tmp_path, stale, "other_model.bin")
    assert read_checkpoint(tmp_path).stale == (stale,)


@pytest.mark.parametrize("folder", ["2_Dense", "checkpoint-500", "unet", "a/b"])
@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin", "x.pt", "model.safetensors.index.json"])
def test_weights_in_a_folder_below_are_warned_about(tmp_path: Path, folder: str, name: str):
    float_file(tmp_path / "model.safetensors", "w")
    put(tmp_path, f"{folder}/{name}", f"{folder}/config.json")
    assert warned(tmp_path) == {"directory.weights_below": f"also contains weights in {folder}/, left unchanged"}


def test_folders_are_named_and_not_all_the_files_in_them(tmp_path: Path):
    float_file(tmp_path / "model.safetensors", "w")
    for step in range(100, 900, 100):
        put(tmp_path, *(f"checkpoint-{step}/model-0000{number}-of-00009.safetensors" for number in range(1, 10)))
    folders = ", ".join(f"checkpoint-{step}/" for step in range(100, 600, 100))
    assert warned(tmp_path) == {
        "directory.weights_below": f"also contains weights in {folders} and 3 more, left unchanged"
    }
    (warning,) = read_checkpoint(tmp_path).warnings
    assert warning.hint == "use --component FOLDER to initialize one such folder; --require-all does not cover them"


@pytest.mark.parametrize("name", ["runs/events.out", "tokenizer/vocab.bin", "data/train.bin", ".git/x.safetensors"])
def test_what_is_below_and_holds_no_weights_is_not_warned_about(tmp_path: Path, name: str):
    float_file(tmp_path / "model.safetensors", "w")
    put(tmp_path, name)
    assert warned(tmp_path) == {}


def test_shards_in_a_folder_below_are_the_checkpoints_own(tmp_path: Path):
    sharded(tmp_path, {"weights/a.safetensors": ("w",)})
    assert warned(tmp_path) == {}


def test_beside_a_component_that_was_chosen_the_others_are_not_warned_about(tmp_path: Path):
    for name in ("model.safetensors", "2_Dense/model.safetensors", "3_Dense/model.safetensors"):
        float_file(tmp_path / name, "w")
    assert warned(tmp_path, component="2_Dense") == {}


def test_weights_below_a_component_are_warned_about(tmp_path: Path):
    for name in ("unet/model.safetensors", "unet/checkpoint-500/model.safetensors", "vae/model.safetensors"):
        float_file(tmp_path / name, "w")
    assert warned(tmp_path, component="unet") == {
        "directory.weights_below": "also contains weights in unet/checkpoint-500/, left unchanged"
    }


class TestLinks:
    def model(self, tmp_path: Path, kind: str) -> Path:
        """A checkpoint of a kind, in a directory beside a secret."""
        (tmp_path / "secret").write_text("secret")
        (tmp_path / "secrets").mkdir()
        (tmp_path / "secrets" / "key").write_text("secret")
        folder = tmp_path / "model"
        if kind == "sharded":
            sharded(folder, {"a.safetensors": ("w",)})
        elif kind == "file":
            float_file(folder / "model.safetensors", "w")
        else:
            float_file(folder / "unet" / "model.safetensors", "w")
            float_file(folder / "vae" / "model.safetensors", "w")
        return folder

    @pytest.mark.parametrize("kind", ["sharded", "file", "component"])
    @pytest.mark.parametrize("place", ["", "below/deep/"])
    @pytest.mark.parametrize("converted", [True, False])
    def test_that_leave_the_directory_are_left_out_and_named(
        self, tmp_path: Path, kind: str, place: str, converted: bool
    ):
        folder = self.model(tmp_path, kind)
        (folder / place).mkdir(parents=True, exist_ok=True)
        for name, target in {
            "absolute": tmp_path / "secret",
            "relative": os.path.relpath(tmp_path / "secret", folder / place),
            "through": os.path.relpath(tmp_path / "secrets" / "key", folder / place),
            "twice": "relative",
            "folder": tmp_path / "secrets",
        }.items():
            (folder / place / name).symlink_to(target)
        applied = initctl.apply(
            folder,
            tmp_path / "out",
            rules=RULES,
            component="unet" if kind == "component" else None,
            max_shard_size="5GB" if converted else None,
        )
        text = "\n".join(problem.message for problem in applied.plan.warnings if problem.code == "directory.left_out")
        for name in ("absolute", "relative", "through", "twice", "folder"):
            assert f"{place}{name}" in text
            assert not os.path.lexists(tmp_path / "out" / place / name)
        assert all(b"secret" not in path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())

    @pytest.mark.parametrize("in_place", [True, "patch"])
    @pytest.mark.parametrize("count", [1, 2])
    def test_that_leave_the_directory_stay_in_place_without_a_warning(
        self, tmp_path: Path, in_place: Literal[True, "patch"], count: int
    ):
        shards = {f"{number}.safetensors": (f"w{number}",) for number in range(count)}
        sharded(folder := tmp_path / "model", shards)
        (folder / "link").symlink_to("/etc/shadow")
        os.mkfifo(folder / "pipe")
        applied = initctl.apply(folder, in_place=in_place, rules=["w*=ones"])
        assert (applied.plan.warnings, applied.warnings) == ((), ())
        assert os.readlink(folder / "link") == "/etc/shadow"
        assert (folder / "pipe").is_fifo()

    def test_that_leave_the_directory_do_not_matter_to_one_file(self, tmp_path: Path):
        folder = self.model(tmp_path, "file")
        (folder / "link").symlink_to("/etc/shadow")
        assert initctl.apply(folder, tmp_path / "out.pt", rules=RULES).plan.warnings == ()

    def test_that_stay_in_the_directory_are_copied_as_files(self, tmp_path: Path):
        folder = self.model(tmp_path, "file")
        (folder / "docs").mkdir()
        (folder / "docs" / "notes.txt").write_text("notes")
        (folder / "notes.txt").symlink_to("docs/notes.txt")
        (folder / "docs" / "up.txt").symlink_to("../notes.txt")
        applied = initctl.apply(folder, tmp_path / "out", rules=RULES)
        assert applied.plan.warnings == ()
        for name in ("notes.txt", "docs/up.txt"):
            assert (tmp_path / "out" / name).read_text() == "notes"
            assert not (tmp_path / "out" / name).is_symlink()

    def test_of_hugging_faces_cache_are_followed(self, tmp_path: Path):
        repository = tmp_path / "models--org--name"
        (repository / "blobs").mkdir(parents=True)
        snapshot = repository / "snapshots" / "0123abcd"
        (snapshot / "docs").mkdir(parents=True)
        for number, name in enumerate(("model.safetensors", "config.json", "docs/notes.txt")):
            blob = repository / "blobs" / f"{number:040x}"
            float_file(blob, "w") if number == 0 else blob.write_text("{}")
            (snapshot / name).symlink_to(os.path.relpath(blob, (snapshot / name).parent))
        applied = initctl.apply(snapshot, tmp_path / "out", rules=RULES)
        assert applied.files == ("model.safetensors", "config.json", "docs/notes.txt")
        assert applied.plan.warnings == ()

    def test_that_lead_elsewhere_since_the_directory_was_read_are_a_conflict(self, tmp_path: Path):
        folder = self.model(tmp_path, "file")
        (folder / "inside").write_text("inside")
        (folder / "link").symlink_to("inside")

        def turn(_: object) -> None:
            (folder / "link").unlink()
            (folder / "link").symlink_to(tmp_path / "secret")

        with pytest.raises(initctl.ConflictError, match="changed while it was read"):
            initctl.apply(folder, tmp_path / "out", rules=RULES, on_event=turn)
        assert not (tmp_path / "out").exists()

    def test_stay_links_in_place(self, tmp_path: Path):
        folder = tmp_path / "model"
        sharded(folder, {"a.safetensors": ("w",), "b.safetensors": ("v",)})
        (tmp_path / "secret").write_text("secret")
        (folder / "link").symlink_to("../secret")
        initctl.apply(folder, in_place=True, rules=["*=ones"])
        assert os.readlink(folder / "link") == "../secret"
