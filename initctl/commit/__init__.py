"""How output reaches the disk: staged beside its target, synced, and put into place in one step, or not at all.

staging.py        a file or a directory on its way to its target
patching.py       an existing file, overwritten where its bytes lie
reserving.py      room on the disk: blocks shared with the source, or reserved
copying.py        bytes from file to file, moved by the kernel where it can
places.py         where output can go
exchange.py       two paths swapped in one step
undisturbed.py    steps that a signal must not cut in two
tree.py           what lies below a directory
failure.py        what the operating system refused, as an error of this package
"""
