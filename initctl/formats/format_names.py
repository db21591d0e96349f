"""What the built-in formats are called in tables and in JSON."""

SAFETENSORS = "safetensors"
SLICES = "safetensors-slices"
TORCH = "torch"
TORCH_LEGACY = "torch-legacy"
DISTRIBUTED = "torch-distributed"

DISTRIBUTED_METADATA = ".metadata"
"""The file of torch.distributed.checkpoint that describes all others in its directory."""
