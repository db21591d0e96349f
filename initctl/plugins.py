"""The interface for packages that add an initializer or a format. Only this part of initctl is stable for them.

An initializer is added by an entry point in the group `initctl.initializers` that names an `Initializer`:

    from dataclasses import dataclass
    from initctl.plugins import Draws, Initializer, Number, Parameter, Resolved, natural_log

    @dataclass(frozen=True)
    class Exponential:
        mean: float

        @property
        def largest(self):
            return 24 * self.mean

        def values(self, draws, start, stop):
            return (-self.mean * natural_log(draws.fraction01(start, stop))).astype("float32")

    EXPONENTIAL = Initializer("exponential", lambda tensor, *, mean: Resolved(Exponential(mean)),
                              (Parameter("mean", Number(above=0), 1),), example="w=exponential:mean=0.1")

- `Initializer(name, build, parameters, …)`: `build(tensor, **arguments)` gets a `TensorSpec` (name, dtype, shape) and
  every parameter by name. It returns `Resolved(law, numbers)`, or raises `Unfit(why)` for a tensor that it cannot fill.
  A plan shows the `numbers`, such as a fan that the law was computed from.
- `Parameter(name, type, default)`: its type is `Number`, `Whole` or `Word`. `build` gets the value of an expression,
  not the expression.
- A law is a frozen value with `largest`, a bound on the magnitude of all values, and `values(draws, start, stop)`, the
  float32 values at a range of element indices. An index must have the same value in every range that contains it:
  then pieces, shards and threads cannot change it.
- `Draws` has a tensor's random numbers by element index: `words` (32 bits, uint32), `uniform01` (float32, [0, 1)),
  `fraction01` (float64, (0, 1)), `normal01` (float32).
- `Constant`, `Normal` and `Uniform` are existing laws. `WholeLaw` is the base class of laws whose values depend on
  each other: it has a `workspace` in bytes, and `prepared(draws)` returns a law, such as `Table(values)`.
- `natural_log`, `exponential` and `sin_cos` compute in float64, within 5e-16, with the same bits on every machine.
  The functions of NumPy and of the math module do not: their last digits differ between machines, and so would the
  checkpoints of one seed. Addition, multiplication, division and square roots are the same everywhere.

A file format is added by an entry point in the group `initctl.formats` that names a result of `file_format`:

    import json
    from initctl.plugins import FileContents, Malformed, StoredTensor, file_format

    def read(file):
        size = int.from_bytes(file.read(12)[8:], "little")
        try:
            table = json.loads(file.read(size))
        except ValueError:
            raise Malformed("its table is not JSON") from None
        return FileContents([StoredTensor(row["name"], "float32", row["shape"], row["offset"]) for row in table])

    TOY = file_format("toy", "a toy's checkpoint", is_at=lambda content: content.startswith(b"TOYMODEL"), read=read)

- `file_format(name, title, is_at, read)`: `is_at` gets the first 4096 bytes of a file that no built-in format
  recognizes. `read` gets the file, open for reading in binary, and returns `FileContents(tensors, metadata)`.
- `StoredTensor(name, dtype, shape, offset, strides)`: the place of a tensor's elements in the file, little-endian and
  not compressed. Tensors that overlap or extend beyond the end of the file are refused.
- Raise `Malformed(fault, hint)` for a file that cannot be read; the hint says what to do, if anything. Any other
  exception also refuses the file.

All commands read such files; `apply` writes the result in another format, such as `-o out.safetensors`. A reader must
not execute anything from a file: read a pickle as data, or not at all.
"""

from initctl.formats.opening import Malformed
from initctl.formats.stored import FileContents, StoredTensor, file_format
from initctl.initializers import Initializer, Number, Parameter, Resolved, Unfit, Whole, Word
from initctl.stream import Constant, Normal, Table, Uniform, WholeLaw
from initctl.stream.draws import Draws
from initctl.stream.elementary64 import exponential, natural_log, sin_cos
from initctl.tensors import TensorSpec

__all__ = [
    "Constant",
    "Draws",
    "FileContents",
    "Initializer",
    "Malformed",
    "Normal",
    "Number",
    "Parameter",
    "Resolved",
    "StoredTensor",
    "Table",
    "TensorSpec",
    "Unfit",
    "Uniform",
    "Whole",
    "WholeLaw",
    "Word",
    "exponential",
    "file_format",
    "natural_log",
    "sin_cos",
]
