"""Paths that users give by mistake: what each is, and what to do instead.

not_checkpoints.py  files and directories that are not checkpoints, recognized by their content
known.py            how each kind of them is recognized, and what to do instead
remote.py           models that are somewhere else: on a hub, on a server, in a bucket
"""
