"""diffusers: models of `save_pretrained` in one file, in shards, as a variant, as a pickle; pipelines; EMA copies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffusers import AutoencoderKL, DDPMScheduler, DiTPipeline, DiTTransformer2DModel, UNet2DModel
from diffusers.training_utils import EMAModel

from tests.field.layout import Job, Layout, Record
from tests.field.make.training import named, parameters, seeded

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


def _unet() -> UNet2DModel:
    blocks = {"down_block_types": ("DownBlock2D",), "up_block_types": ("UpBlock2D",), "add_attention": False}
    return UNet2DModel(sample_size=8, block_out_channels=(4,), layers_per_block=1, norm_num_groups=2, **blocks)


def _transformer() -> DiTTransformer2DModel:
    return DiTTransformer2DModel(
        2, 4, in_channels=2, out_channels=4, num_layers=1, sample_size=4, norm_num_groups=2, num_embeds_ada_norm=3
    )


def _autoencoder() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(4,), norm_num_groups=2, latent_channels=2, layers_per_block=1, sample_size=8
    )


def _writes(**options: object) -> Callable[[str], Record]:
    def write(folder: str) -> Record:
        model = seeded(_unet)
        model.save_pretrained(folder, **options)
        return Record("", "", parameters(model))

    return write


def _loads(**options: object) -> Callable[[str], dict[str, Tensor]]:
    def load(path: str) -> dict[str, Tensor]:
        return UNet2DModel.from_pretrained(path, low_cpu_mem_usage=False, **options).state_dict()

    return load


def _write_both(folder: str) -> Record:
    """Both variants in one folder, as on the hub: the plain one is what every loader takes."""
    model = seeded(_unet)
    model.save_pretrained(folder, variant="fp16")
    model.save_pretrained(folder)
    return Record("", "", parameters(model), flags={"stale": "keep"})


def _write_ema(folder: str) -> Record:
    model = seeded(_unet)
    EMAModel(model.parameters(), model_cls=UNet2DModel, model_config=model.config).save_pretrained(folder)
    return Record("", "", parameters(model))


def _load_ema(path: str) -> dict[str, Tensor]:
    copy = EMAModel.from_pretrained(path, UNet2DModel)
    model = _unet()
    copy.copy_to(model.parameters())
    return model.state_dict()


def _pipeline() -> DiTPipeline:
    return DiTPipeline(seeded(_transformer), seeded(_autoencoder), DDPMScheduler())


def _write_pipeline(folder: str) -> Record:
    pipeline = _pipeline()
    pipeline.save_pretrained(folder)
    return Record("", refused="transformer")


def _load_pipeline(path: str) -> dict[str, Tensor]:
    pipeline = DiTPipeline.from_pretrained(path, low_cpu_mem_usage=False)
    return {**named("transformer", pipeline.transformer.state_dict()), **named("vae", pipeline.vae.state_dict())}


_OUT = ("-r", "conv_out.*=normal:std=0.01")
_ALL = ("-r", "*.weight=normal:std=0.02")

LAYOUTS = (
    Layout(
        "unet",
        _writes(),
        _loads(),
        "UNet2DModel.from_pretrained",
        (
            Job("reset the output", _OUT, ("conv_out.*",)),
            Job("a wildcard", _ALL, ("*.weight",)),
            Job("preset", ("-p", "torch-default"), ("*",)),
        ),
    ),
    Layout(
        "unet_sharded",
        _writes(max_shard_size="5kB"),
        _loads(),
        "UNet2DModel.from_pretrained",
        (
            Job("reset the output", _OUT, ("conv_out.*",)),
            Job("a wildcard, in place", _ALL, ("*.weight",), None),
        ),
    ),
    Layout(
        "unet_variant",
        _writes(variant="fp16"),
        _loads(variant="fp16"),
        "from_pretrained(variant='fp16')",
        (Job("reset the output", _OUT, ("conv_out.*",)),),
    ),
    Layout(
        "unet_variant_sharded",
        _writes(variant="fp16", max_shard_size="5kB"),
        _loads(variant="fp16"),
        "from_pretrained(variant='fp16')",
        (Job("reset the output", _OUT, ("conv_out.*",)),),
    ),
    Layout(
        "unet_both",
        _write_both,
        _loads(),
        "UNet2DModel.from_pretrained",
        (
            Job("reset the output", _OUT, refused="--stale"),
            Job("reset the output of the plain one", (*_OUT, "--stale", "keep"), ("conv_out.*",)),
        ),
    ),
    Layout(
        "unet_bin",
        _writes(safe_serialization=False),
        _loads(use_safetensors=False),
        "from_pretrained(use_safetensors=False)",
        (Job("reset the output", _OUT, ("conv_out.*",)),),
    ),
    Layout(
        "unet_bin",
        _writes(safe_serialization=False),
        _loads(),
        "UNet2DModel.from_pretrained",
        (
            Job("conversion", ("--max-shard-size", "5GB"), ()),
            Job("conversion to shards", ("--max-shard-size", "5kB"), ()),
        ),
    ),
    Layout("ema", _write_ema, _load_ema, "EMAModel.from_pretrained", (Job("reset the output", _OUT, ("conv_out.*",)),)),
    Layout(
        "pipeline",
        _write_pipeline,
        _load_pipeline,
        "DiTPipeline.from_pretrained",
        (
            Job("without a component", _ALL, refused="transformer"),
            Job("a component", ("--component", "transformer", *_ALL), ("transformer/*.weight",)),
            Job(
                "a component, in place",
                ("--component", "vae", "-r", "decoder.conv_out.*=normal:std=0.01"),
                ("vae/decoder.conv_out.*",),
                None,
            ),
        ),
    ),
)
