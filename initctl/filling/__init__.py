"""The elements that a plan's laws give, computed as bytes, in parts and by several threads.

computer.py  target blocks → runs of elements → bytes
targets.py   what is computed: blocks of tensors in files, and runs of their elements
engines.py   the engines that a plan needs
memory.py    whether what must be computed at once fits the memory
"""
