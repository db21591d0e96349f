"""The public functions; the command line is a thin layer over them.

arguments.py   arguments that several functions share
judging.py     suggest and doctor: how tensors should start, and faults of initialization
models.py      init_ and param_init_fn: fill models in memory
planning.py    plan, load_plan and changes: what would be done
reading.py     inspect, stats and diff: what checkpoints hold
verifying.py   verify and load_manifest: whether a checkpoint holds what a plan, or a report, says
warning.py     warnings at the line of the caller
writing.py     apply and new: write checkpoints
"""
