"""The model that a config.json of transformers describes: its tensors, as `save_pretrained` would write them.

model.py     a configuration as a caller describes it, and what is known of its model
apart.py     where a model is built: in this process, or in one of its own
child.py     that process
building.py  a model, as transformers builds it without memory for its weights
buffers.py   what such a model computes itself, and does not learn
settings.py  other values for fields of the configuration
"""

from initctl.architecture.apart import model_of
from initctl.architecture.model import Description, Model

__all__ = ["Description", "Model", "model_of"]
