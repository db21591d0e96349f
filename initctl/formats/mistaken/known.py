"""Files that are not checkpoints: for each kind, how to recognize it, a sentence that names it, and what to do."""

from __future__ import annotations

CONVERT = "convert it to safetensors first"
NAME_WEIGHTS = "name a file or a directory of weights, such as model.safetensors"
OF_CONFIG = "name the weights, or make new ones with initctl new --config CONFIG -o OUT"
OTHER_PICKLE = (
    "is a pickle that torch.save did not write",
    "loading it can run any code; if you trust it, load it and save a state_dict() with torch.save",
)
"""What it is, and what to do."""

Row = tuple[str, str, str]

BINARY: tuple[tuple[bytes, str, str], ...] = (
    (
        rb"version https://git-lfs\.github\.com/spec/",
        "is a Git LFS pointer, not the file itself",
        "run git lfs pull",
    ),
    (
        rb"(?i:\s*(?:<!doctype|<html|<\?xml))",
        "looks like a web page, not a checkpoint",
        "download the file itself",
    ),
    (
        rb"\x93NUMPY",
        "is a NumPy array (.npy), which is not supported",
        "convert it: safetensors.numpy.save_file({'weight': array}, FILE)",
    ),
    (rb"PAR1|ARROW1", "is a Parquet or Arrow table, which is not supported", NAME_WEIGHTS),
    *(
        (pattern, f"is {what}, which is not supported", CONVERT)
        for pattern, what in (
            (rb"GGUF", "a GGUF file"),
            (rb"lmgg|fmgg|tjgg|algg", "a GGML file of llama.cpp before GGUF"),
            (rb"\x89HDF\r\n\x1a\n", "an HDF5 file of Keras or h5py"),
            (rb"\x08[\x01-\x1f](?:\x12(.)[\x20-\x7e]{3,}|:|B\x02|B\x04)", "an ONNX model"),
            (rb"\x08[\x01-\x1f]\x12.{1,5}\x0a", "a Core ML model or a TensorFlow SavedModel"),
            (rb".{4}TFL3", "a TensorFlow Lite model"),
            (
                rb"(?:[\x81-\x8f]|\xde..|\xdf....)(?:[\xa1-\xbf]|\xd9.)[\x20-\x7e]",
                "a msgpack file of Flax",
            ),
            (rb"MATLAB 5\.0 MAT-file", "a MATLAB file"),
        )
    ),
    *(
        (pattern, f"is compressed with {tool}", f"decompress it first: {command}")
        for pattern, tool, command in (
            (rb"\x1f\x8b", "gzip", "gunzip, or tar xzf for a .tar.gz"),
            (rb"\x28\xb5\x2f\xfd", "zstd", "unzstd"),
            (rb"\xfd7zXZ\0", "xz", "unxz"),
            (rb"BZh[1-9]1AY&SY", "bzip2", "bunzip2"),
            (rb"\x04\x22\x4d\x18", "lz4", "unlz4"),
        )
    ),
    (rb"7z\xbc\xaf\x27\x1c", "is a 7z archive", "extract it: 7z x"),
    (rb"Rar!\x1a\x07", "is a RAR archive", "extract it: unrar x"),
    *(
        (pattern, f"is {what}, not a checkpoint", NAME_WEIGHTS)
        for pattern, what in (
            (rb"\x89PNG\r\n|\xff\xd8\xff|GIF8|II\*\0|MM\0\*", "an image"),
            (rb"RIFF.{4}WEBP|BM.{4}\0{4}.{4}[\x28\x6c\x7c]\0{3}", "an image"),
            (rb"%PDF-", "a PDF document"),
            (rb"SQLite format 3\0", "a SQLite database"),
            (rb"\x7fELF|MZ\x90\0", "a program or a library"),
        )
    ),
)
"""Patterns of the beginning of a file. The first row that matches counts, here and below."""

ZIPS: tuple[Row, ...] = (
    (
        r"\A(?:.*\.npy(?:\n|\Z))+\Z",
        "is an archive of NumPy arrays (.npz), which is not supported",
        "convert it: safetensors.numpy.save_file(dict(numpy.load(FILE)), OUT)",
    ),
    (
        r"(?:archive_format|serialized_exported_program\.json)$",
        "is a torch.export program (.pt2), which is not supported",
        "save its state_dict() with torch.save",
    ),
    (r"/constants\.pkl$", "is a TorchScript archive", "load it with torch.jit.load, and save its state_dict()"),
    (r"^model\.weights\.h5$", "is a Keras archive (.keras), which is not supported", CONVERT),
    (
        r"^(?:\[Content_Types\]\.xml|META-INF/MANIFEST\.MF)$",
        "is a document or a program in a zip archive, not a checkpoint",
        NAME_WEIGHTS,
    ),
)
"""Patterns of the names of a zip archive's records, each on a line."""

TARS: tuple[Row, ...] = (
    (
        r"^(?:pickle|storages)$",
        "is a tar archive of torch.save before 0.1.12, which is not supported",
        "load it with an old torch and save it again",
    ),
    (
        r"^model_weights\.ckpt$",
        "is a tar archive of NeMo (.nemo)",
        "extract it and name model_weights.ckpt",
    ),
)
"""Patterns of the names of a tar archive's members."""

TEXTS: tuple[Row, ...] = (
    (
        r"\A(?:\(dp\d|\(lp\d|\(i?\w*c?copy_reg\n|ccopy_reg\n|c[\w.]+\n\w+\np\d|\(d(?:q|p))",  # protocol 0 is text
        *OTHER_PICKLE,
    ),
    (
        r"^\s*\[\[rule\]\]",
        "is a recipe, not a checkpoint",
        "name the checkpoint, and pass the recipe with -f",
    ),
    ("", "is plain text, not a checkpoint", NAME_WEIGHTS),
)
"""Patterns of texts other than JSON."""

ERROR_PAGE = (
    r"(?:\d{3}:? )?(?:Entry|Repository|Revision|Page|File|Object)? ?Not Found\b|Invalid (?:username|credentials|token)"
    r"|Access (?:denied|to model|to this)|Unauthorized|Forbidden|Bad Gateway|Service Unavailable|Internal Server Error"
    r"|Too Many Requests|Gateway Time-?out|Cannot access gated repo"
)
"""The beginning of error messages that Hugging Face, GitHub and web servers send instead of a file."""
KEYS_OF_AN_ERROR = {"error", "errors", "detail", "message"}
"""Keys of such messages in JSON."""

JSON: tuple[Row, ...] = (
    ("schema table actions", "is a saved plan, not a checkpoint", "name the checkpoint, and pass the plan with --plan"),
    ("schema command exit_code", "is JSON output of initctl, not a checkpoint", NAME_WEIGHTS),
    ("peft_type", "is an adapter's configuration, not weights", "name the file beside it: adapter_model.safetensors"),
    ("_class_name _diffusers_version", "is a configuration of diffusers, not weights", NAME_WEIGHTS),
    ("model_type", "is a model's configuration, without weights", OF_CONFIG),
    ("architectures", "is a model's configuration, without weights", OF_CONFIG),
    ("quant_method", "is a configuration of quantization, not weights", NAME_WEIGHTS),
    ("added_tokens", "is a tokenizer, not weights", NAME_WEIGHTS),
    ("tokenizer_class", "is a tokenizer's configuration, not weights", NAME_WEIGHTS),
    ("log_history global_step", "is the state of a Trainer, not weights", NAME_WEIGHTS),
    ("weightsManifest", "is a TensorFlow.js model, which is not supported", CONVERT),
    ("nbformat cells", "is a Jupyter notebook, not a checkpoint", NAME_WEIGHTS),
    ("class_name config", "is a Keras model's configuration, not weights", NAME_WEIGHTS),
)
"""Keys that together identify such a document."""
