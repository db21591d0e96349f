"""New checkpoint files: what goes around the bytes of tensors, and where each tensor begins. No tensor byte is written.

formats.py       what a new file is made of, and what a format has to say for that
safetensors.py   a .safetensors file: its header
torch_save.py    a file of torch.save: its records
archive.py       the zip archive that holds these records
state_dict.py    the pickle of a plain state dict
"""
