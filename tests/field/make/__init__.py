"""Writers and loaders, one module for each library: what it writes, what people run on that, and how it loads it."""

DISTRIBUTIONS = {
    "timm": "timm",
    "torchvision": "torchvision",
    "ultralytics": "ultralytics",
    "accelerate": "accelerate",
    "lightning": "lightning",
    "diffusers": "diffusers",
    "transformers": "transformers",
    "peft": "peft",
    "sentence_transformers": "sentence-transformers",
    "bitsandbytes": "bitsandbytes",
    "compressed_tensors": "compressed-tensors",
    "torchao": "torchao",
    "hqq": "hqq",
    "quanto": "optimum-quanto",
    "mlx": "mlx",
    "gptq": "auto-gptq",
    "awq": "autoawq",
    "deepspeed": "deepspeed",
    "megatron_core": "megatron-core",
    "torch": "torch",
    "fairseq": "torch",
}
"""By module: what PyPI calls its library."""
