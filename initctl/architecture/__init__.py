"""The model that a config.json of transformers describes: its tensors, as `save_pretrained` would write them.

model.py        a configuration as a caller describes it, and what is known of its model
apart.py        where a model is built: in this process, or in one of its own
child.py        that process
building.py     a model, as transformers builds it without memory for its weights
kinds.py        the class of a configuration, and its fields
model_class.py  the class of its model
refusing.py     a configuration that is refused
buffers.py      what such a model computes itself, and does not learn
settings.py     other values for fields of the configuration
layers.py       what follows from another number of layers
"""

from initctl.architecture.apart import model_of
from initctl.architecture.model import BUILT, Description, Model

__all__ = ["BUILT", "Description", "Model", "model_of"]
