"""The table of built-in initializers that start from old values."""

from __future__ import annotations

from initctl.initializers.initializer import Initializer
from initctl.initializers.later import Later
from initctl.initializers.parameters import Number, Parameter, Slice, Text, Whole, Word

revising = Later("initctl.initializers.revising")
_ASH = "physicsnemo/nn/module/utils/weight_init.py; Ash, Adams: On warm-starting neural network training (2020)"
_NAKAMURA = "allenai/OLMoE, scripts/sparsify_ckpt_unsharded.py; Nakamura et al.: Drop-Upcycling (2025)"
_HEWITT = "transformers/modeling_utils.py; Hewitt: Initializing new word embeddings for pretrained models (2021)"

REVISIONS = (
    Initializer(
        "scale",
        revising.scale,
        (Parameter("by", Number()),),
        summary="old values times a number",
        formula="by · old",
        source="mergekit/merge_methods/passthrough.py (scale)",
        example="*.o_proj.weight=scale:by=0.5",
    ),
    Initializer(
        "perturb",
        revising.perturb,
        (
            Parameter("scale", Number(), 1),
            Parameter("std", Number(minimum=0)),
            Parameter("rel", Word(("false", "true")), "false", optional=True),
        ),
        summary="old values shrunk, with noise added",
        formula="scale · old + std · N(0, 1); rel=true: std in units of the tensor's own standard deviation",
        source=_ASH,
        example="*.weight=perturb:scale=0.4,std=0.1,rel=true",
    ),
    Initializer(
        "reinit",
        revising.reinit,
        (Parameter("p", Number(0, 1)), Parameter("mean", Number(), 0), Parameter("std", Number(minimum=0))),
        summary="a share of the elements anew, normal, the others as they are",
        formula="N(mean, std²) with probability p, else old; each element by itself",
        source=_NAKAMURA,
        example="*.experts.*.weight=reinit:p=0.5,std=0.02",
    ),
    Initializer(
        "copy",
        revising.copy,
        (
            Parameter("from", Text("a tensor's name, or CHECKPOINT#NAME")),
            Parameter("row", Whole(minimum=0), optional=True),
        ),
        summary="what another tensor holds, here or in another checkpoint; or one row of it, in every row",
        formula="old values of the other tensor at the same index; with row=r those of its row r",
        source="allennlp/nn/initializers.py (pretrained)",
        example="model.layers.31.mlp.up_proj.weight=copy:from=model.layers.30.mlp.up_proj.weight",
    ),
    Initializer(
        "mean_rows",
        revising.mean_rows,
        (Parameter("of", Slice()), Parameter("std", Number(minimum=0), 0)),
        summary="the mean of some old rows in every row, with noise",
        formula="mean of rows a ≤ i < b, + std · N(0, 1)",
        source=_HEWITT,
        example="embed_tokens.weight[32000:]=mean_rows:of=0:32000",
    ),
    Initializer(
        "match_stats",
        revising.match_stats,
        summary="normal, with the tensor's own mean and standard deviation",
        formula="N(mean(old), std(old)²)",
        source="facebookresearch/esm issue 143: baselines that keep each tensor's scale",
        example="*.weight=match_stats",
    ),
    Initializer(
        "permute_rows",
        revising.permute_rows,
        summary="the tensor's rows in another order",
        formula="row i holds old row π(i), π a random permutation",
        source="quantus/helpers/model; Adebayo et al.: Sanity checks for saliency maps (2018)",
        example="embed.weight=permute_rows",
    ),
)
