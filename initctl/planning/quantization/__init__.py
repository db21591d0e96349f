"""Quantized weights: the tensors that hold their codes, and those without which the codes mean nothing.

schemes.py   the layouts that are known: one table
weights.py   which tensors of a checkpoint make up quantized weights
"""
