"""A model that is spread over ranks gets the bits of the file that `apply` writes, however torch spreads it."""

from __future__ import annotations

import warnings

import pytest
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
from torch.distributed.fsdp.wrap import CustomPolicy
from torch.distributed.tensor import DTensor

import initctl
from initctl.live.agreement import groups_of
from initctl.live.pieces import pieces
from tests.live import sharded
from tests.live.sharded import MLP_RULES, RARE_RULES, ZOO_RULES, Mlp, Rare, Zoo, local

SEED = 7
RULES = {Zoo: ZOO_RULES, Rare: RARE_RULES, Mlp: MLP_RULES}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The file that `apply` wrote for each model."""
    folder, found = tmp_path_factory.mktemp("applied"), {}
    for kind, rules in RULES.items():
        path, found[kind] = folder / "net.pt", folder / f"{kind.__name__}.pt"
        torch.save(kind().state_dict(), path)
        initctl.apply(path, found[kind], rules=rules, seed=SEED)
    return found


@pytest.fixture(scope="module")
def expected(files):
    """The digest of each tensor in these files."""
    return {kind: digests(path) for kind, path in files.items()}


def digests(path):
    return {name: sharded.digest(tensor) for name, tensor in torch.load(path).items()}


def filled(kind, shard):
    model = sharded.from_meta(kind, shard)
    initctl.init_(model, rules=RULES[kind], seed=SEED)
    return sharded.held(model)


@pytest.mark.parametrize(
    ("kind", "shard", "sizes"),
    [
        (Zoo, sharded.fsdp2, (1, 2, 4)),
        (Zoo, sharded.fsdp2_dim1, (2, 4)),
        (Zoo, sharded.hsdp, (4,)),
        (Zoo, sharded.replicated, (2,)),
        (Zoo, sharded.cut_in_two_dims, (2, 4)),
        (Zoo, sharded.cut_twice_in_one_dim, (4,)),
        (Rare, sharded.cut_in_two_dims, (4,)),
        (Mlp, sharded.fsdp2_offloaded, (2,)),
        (Mlp, sharded.tp, (1, 2, 4)),
        (Mlp, sharded.fsdp2_tp, (4,)),
        (Mlp, sharded.fsdp2_dim1, (3,)),
    ],
)
def test_a_sharded_model_gets_the_bits_of_the_file(ranks, expected, kind, shard, sizes):
    for size in sizes:
        for found in ranks.run(size, filled, kind, shard):
            assert found == expected[kind]


def filled_in_flat_parameters(kind, **options):
    model = sharded.fsdp1(kind(), auto_wrap_policy=CustomPolicy(lambda module: type(module) is nn.Module), **options)
    initctl.init_(model, rules=RULES[kind], seed=SEED)
    with FullyShardedDataParallel.summon_full_params(model):
        return sharded.held(model)


@pytest.mark.parametrize("use_orig_params", [True, False])
@pytest.mark.parametrize(("kind", "size"), [(Zoo, 2), (Mlp, 1), (Mlp, 3)])
def test_a_model_in_flat_parameters_gets_the_bits_of_the_file(ranks, expected, kind, size, use_orig_params):
    for found in ranks.run(size, filled_in_flat_parameters, kind, use_orig_params=use_orig_params):
        assert found == expected[kind]


def filled_while_wrapped(**options):
    with torch.device("meta"):
        model = Mlp()
    function = initctl.param_init_fn(model, rules=MLP_RULES, seed=SEED, device="cpu")
    model = sharded.fsdp1(model, param_init_fn=function, **options)
    with FullyShardedDataParallel.summon_full_params(model):
        return sharded.held(model)


@pytest.mark.parametrize("use_orig_params", [True, False])
def test_a_model_that_fsdp_fills_while_it_wraps_it_has_the_bits_of_the_file(ranks, expected, use_orig_params):
    for found in ranks.run(2, filled_while_wrapped, use_orig_params=use_orig_params):
        assert found == expected[Mlp]


def wrong_pieces(kind, shard, path):
    """The names of tensors whose pieces on this rank are not those of the file."""
    model, whole = sharded.from_meta(kind, shard), torch.load(path)
    initctl.init_(model, rules=RULES[kind], seed=SEED)
    parts = [(name, piece) for name, tensor in model.state_dict().items() for piece in pieces(tensor)]
    return [name for name, piece in parts if not _is_part(whole[name], *piece)]


def _is_part(whole, memory, start):
    there = tuple(slice(first, first + size) for first, size in zip(start, memory.shape, strict=True))
    return sharded.digest(memory) == sharded.digest(whole[there])  # NaN is not equal to itself


@pytest.mark.parametrize(("rank", "shard"), [(0, sharded.fsdp2), (7, sharded.fsdp2), (5, sharded.cut_twice_in_one_dim)])
def test_a_rank_needs_no_values_of_others(as_rank, files, shard, rank):
    as_rank(rank)
    assert wrong_pieces(Zoo, shard, files[Zoo]) == []


def test_an_error_of_all_ranks_is_raised_as_it_is(as_rank):
    as_rank(3)
    model = sharded.from_meta(Mlp, sharded.fsdp2)
    with pytest.raises(initctl.FitError, match=r"^rule 1 \(nose=zeros\): matches no tensor"):
        initctl.init_(model, rules=["nose=zeros"])


REVISED = [
    "up.weight=scale:by=0.5",
    "up.bias[3:]=scale:by=2",
    "down.weight=perturb:std=0.1",
    "embed.weight=reinit:p=0.4,std=0.1",
]


def revised(shard):
    model = sharded.from_meta(Mlp, shard)
    initctl.init_(model, rules=MLP_RULES, seed=SEED)
    initctl.init_(model, rules=REVISED, seed=8)
    return sharded.held(model)


@pytest.mark.parametrize("shard", [sharded.fsdp2, sharded.fsdp2_tp])
def test_values_that_depend_on_the_old_ones_at_their_places_are_those_of_the_file(ranks, files, tmp_path, shard):
    initctl.apply(files[Mlp], tmp_path / "revised.pt", rules=REVISED, seed=8)
    for found in ranks.run(4, revised, shard):
        assert found == digests(tmp_path / "revised.pt")


def refused(rules, kept="embed.weight"):
    """What `init_` says, and whether it left a tensor as it was."""
    model = sharded.from_meta(Mlp, sharded.fsdp2)
    with pytest.raises(initctl.InitctlError) as caught:
        initctl.init_(model, rules=rules.get(dist.get_rank(), rules["others"]), seed=SEED)
    return str(caught.value), bool(local(model.get_parameter(kept)).isnan().all())


@pytest.mark.parametrize(
    "rule",
    [
        "up.weight=match_stats",
        "up.weight=permute_rows",
        "embed.weight[12:]=mean_rows:of=:12",
        "norm.bias=copy:from=norm.weight",
        "up.weight=perturb:std=0.1,rel=true",
    ],
)
def test_values_that_depend_on_those_of_other_ranks_are_refused(ranks, rule):
    for said, is_kept in ranks.run(2, refused, {"others": [rule]}):
        assert said.endswith("and this process has only a part; apply the rule to a file of the model")
        assert is_kept


def test_if_one_of_three_ranks_has_other_rules_all_say_so_and_change_nothing(ranks):
    rules = {"others": ["*=normal:std=0.02"], 1: ["*=normal:std=0.03"]}
    message = "rank 1 has other rules than rank 0; give every rank the same model, rules and seed"
    assert ranks.run(3, refused, rules) == [(message, True)] * 3


def test_if_one_of_three_ranks_cannot_read_its_rules_all_say_so_and_change_nothing(ranks):
    rules = {"others": ["*=normal:std=0.02"], 2: ["*=normal:std=0.02;"]}
    found = ranks.run(3, refused, rules)
    assert found == [found[0]] * 3
    assert found[0][0].startswith("rank 2: rule 1 ")
    assert found[0][1]


def on_meta():
    with torch.device("meta"):
        model = sharded.fsdp2(Mlp())
    with pytest.raises(initctl.FitError) as caught:
        initctl.init_(model, rules=["*=zeros"])
    return str(caught.value)


def test_a_sharded_model_without_memory_is_refused_with_the_call_that_gives_it_some(ranks):
    for said in ranks.run(2, on_meta):
        assert "on the meta device" in said
        assert "to_empty" in said


def filled_after_a_forward_pass():
    """A model whose tensors the pass has put together, and left so."""
    model, ids = sharded.fsdp2(Mlp(), reshard_after_forward=False), torch.arange(13)
    model(ids)
    assert not isinstance(model.up.weight, DTensor)
    initctl.init_(model, rules=MLP_RULES, seed=SEED)
    groups = groups_of(model)
    return len(groups), model(ids).detach().numpy(), sharded.held(model)


def test_a_model_that_a_forward_pass_left_whole_gets_the_bits_of_the_file_and_uses_them(ranks, files, expected):
    whole = Mlp()
    whole.load_state_dict(torch.load(files[Mlp]))
    output = whole(torch.arange(13)).detach()
    for groups, found, held in ranks.run(2, filled_after_a_forward_pass):
        assert groups == 1
        assert torch.allclose(torch.from_numpy(found), output)
        assert held == expected[Mlp]


def filled_by_torch(rules):
    model = sharded.from_meta(Mlp, sharded.fsdp2)
    initctl.init_(model, rules=rules, seed=SEED, rng="torch")
    return sharded.held(model)


def test_values_of_torchs_own_generator_are_those_of_the_file(ranks, tmp_path):
    rules = ["*=normal:std=0.02", "*.bias=uniform"]
    torch.save(Mlp().state_dict(), tmp_path / "net.pt")
    initctl.apply(tmp_path / "net.pt", tmp_path / "drawn.pt", rules=rules, seed=SEED, rng="torch")
    assert ranks.run(2, filled_by_torch, rules) == [digests(tmp_path / "drawn.pt")] * 2


def filled_state_dict():
    model = sharded.from_meta(Mlp, sharded.fsdp2)
    initctl.init_(model.state_dict(), rules=MLP_RULES, seed=SEED)
    return sharded.held(model)


def test_the_state_dict_of_a_sharded_model_is_its_memory(ranks, expected):
    assert ranks.run(2, filled_state_dict) == [expected[Mlp]] * 2


class Tied(nn.Module):
    """Two names of a tensor of which some ranks have no row."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(3, 8)
        self.head = nn.Linear(8, 3, bias=False)
        self.other = nn.Linear(8, 3, bias=False)
        self.head.weight = self.embed.weight


def ties(shard):
    model = shard(Tied())
    plan = initctl.init_(model, rules=["*=normal"], seed=SEED)
    with FullyShardedDataParallel.summon_full_params(model):
        held = sharded.held(model)
    return {action.tensor.name: action.value_name for action in plan.actions}, held["head.weight"], held["other.weight"]


@pytest.mark.parametrize("shard", [fully_shard, sharded.fsdp1])
def test_tied_tensors_are_tied_on_ranks_that_hold_nothing_of_them(ranks, tmp_path, shard):
    torch.save(Tied().state_dict(), tmp_path / "tied.pt")
    initctl.apply(tmp_path / "tied.pt", tmp_path / "applied.pt", rules=["*=normal"], seed=SEED)
    whole = torch.load(tmp_path / "applied.pt")
    names = {"embed.weight": "embed.weight", "head.weight": "embed.weight", "other.weight": "other.weight"}
    found = ranks.run(4, ties, shard)
    assert found == [(names, sharded.digest(whole["head.weight"]), sharded.digest(whole["other.weight"]))] * 4


def saved(folder):
    model = sharded.from_meta(Mlp, sharded.fsdp2)
    initctl.init_(model, rules=MLP_RULES, seed=SEED)
    dcp.save(model.state_dict(), checkpoint_id=folder)


def test_verify_holds_for_the_checkpoint_that_the_ranks_save(ranks, tmp_path):
    ranks.run(2, saved, tmp_path / "step-0")
    assert initctl.verify(tmp_path / "step-0", rules=MLP_RULES, seed=SEED)


def test_a_partition_of_deepspeed_is_refused_with_the_context_that_makes_it_whole():
    """DeepSpeed is not installed here: ZeRO-3 leaves parameters without elements, and with a number."""
    model = nn.Linear(3, 2)
    for parameter in model.parameters():
        parameter.data, parameter.ds_id = torch.empty(0), 0
    with pytest.raises(initctl.FitError, match=r"inside of deepspeed\.zero\.GatheredParameters"):
        initctl.init_(model, rules=["*=normal"])


def filled_in_megatron(ranks_per_model):
    pytest.importorskip("megatron.core")
    with warnings.catch_warnings(action="ignore"):  # of packages that only its GPU code needs
        from megatron.core import parallel_state
        from megatron.core.model_parallel_config import ModelParallelConfig
        from megatron.core.tensor_parallel import ColumnParallelLinear, RowParallelLinear, VocabParallelEmbedding
    parallel_state.initialize_model_parallel(tensor_model_parallel_size=ranks_per_model)
    config = ModelParallelConfig(
        tensor_model_parallel_size=ranks_per_model, use_cpu_initialization=True, perform_initialization=False
    )
    shared = {"config": config, "init_method": None}
    model = nn.ModuleDict(
        {
            "embed": VocabParallelEmbedding(8, 4, **shared),
            "fc1": ColumnParallelLinear(4, 6, bias=False, **shared),
            "fc2": RowParallelLinear(6, 4, bias=False, input_is_parallel=True, skip_bias_add=False, **shared),
        }
    )
    try:
        initctl.init_(model, rules=["*=normal"], seed=SEED)
    except initctl.InitctlError as error:
        return str(error)
    finally:
        parallel_state.destroy_model_parallel()
    return {name: sharded.digest(tensor) for name, tensor in model.state_dict().items() if tensor is not None}


def test_parts_of_megatrons_tensor_parallelism_are_refused(ranks):
    """Megatron marks the parameters of some layers, so one mark refuses all."""
    pytest.importorskip("megatron.core")
    first, second = ranks.run(2, filled_in_megatron, 2)
    assert first == second
    assert "fc1.weight, fc2.weight: Megatron's tensor parallelism has split it" in first


def test_a_model_of_megatron_that_each_rank_has_whole_is_filled(ranks):
    pytest.importorskip("megatron.core")
    first, second = ranks.run(2, filled_in_megatron, 1)
    assert first == second
    assert set(first) == {"embed.weight", "fc1.weight", "fc2.weight"}
