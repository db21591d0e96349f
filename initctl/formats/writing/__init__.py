"""New checkpoint files: everything but the bytes of tensors, and where each tensor begins.

formats.py       the layout of a new file, and the formats that initctl writes
safetensors.py   a .safetensors file: its header
torch_save.py    a file of torch.save: its records
archive.py       the zip archive of these records
state_dict.py    the pickle of a plain state dict
"""
