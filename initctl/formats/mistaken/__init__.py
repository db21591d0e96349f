"""What people name by mistake: what it is, and what to do about it.

not_checkpoints.py  files and directories of something else, recognized by their content
known.py            how each kind of them is recognized, and what to do about it
remote.py           models that are somewhere else: on a hub, on a server, in a bucket
"""
