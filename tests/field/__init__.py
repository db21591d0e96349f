"""Files that real libraries wrote, and what their own loaders make of initctl's results.

`files` holds small checkpoints, LIBRARY/NAME, each beside a LIBRARY/NAME.json that says what its tensors are for: the
library that wrote it knows. `test_real_writers` reads them with nothing but torch and safetensors installed. The
versions of the libraries are in VERSIONS.toml. `pip install '.[field]'` gets those that can be installed together. Then

    python -m tests.field.make tests/field/files peft diffusers    writes the files of these libraries anew
    python -m tests.field peft diffusers    runs initctl on fresh ones, loads the results, and prints a table

Torchvision, timm and ultralytics need a torch that fits torchvision's build: they have an environment of their own.
AutoGPTQ and AutoAWQ ask for an older transformers than the others: install them with `--no-deps`. fairseq's layout is
written by hand, after its source.

    layout     what a layout, its record and a job on it are
    make       the writers and loaders, one module for each library
    trees      every tensor that files hold, without the libraries that wrote them
"""
