"""Compute the elements that a plan's laws give, as bytes, in parts and by several threads.

computer.py  target blocks → runs of elements → bytes
targets.py   what is computed: blocks of tensors in files, and runs of their elements
engines.py   the engines that a plan needs
memory.py    whether there is enough memory for tensors that are computed as a whole
"""
