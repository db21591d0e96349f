"""Tensors that get other shapes: more or fewer rows, or other dims; and `config.json`, which may have to follow.

sizes.py          new numbers of rows, and whole shapes, for the tensors that patterns match
settings.py       new values of fields of config.json
reshaping.py      both together: what was asked
tables.py         the table of a checkpoint with new shapes: rows that stay keep their places in files
json_text.py      values in a JSON text, replaced without touching the rest
renewed_files.py  the files of the result that differ around their tensors: headers, the index, config.json
"""

from initctl.reshaping.reshaping import UNCHANGED, Reshaping
from initctl.reshaping.tables import NewShape, reshaped

__all__ = ["UNCHANGED", "NewShape", "Reshaping", "reshaped"]
