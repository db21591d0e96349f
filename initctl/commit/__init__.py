"""How output reaches the disk: staged beside its target, synced, and put into place in one step, or not at all.

new_files.py      new files and directories, written and flushed to the disk
replacing.py      the one step in which they take their place
staging.py        a file or a directory that is removed unless it takes its place
shared_staging.py a file or a directory that several processes write
rest.py           the files that stay as they are, shared by hard links
keeping.py        what was replaced stays if it may be needed
linking.py        which files of other users cannot be hard-linked
patching.py       an existing file, overwritten in place
effects.py        every call that changes files
attributes.py     permissions, and what a new file keeps of the one that it replaces
leftovers.py      what a process that was killed left behind
reserving.py      disk space: blocks shared with the source, or reserved
copying.py        bytes from file to file, copied by the kernel if possible
places.py         where output can go
mounts.py         mounted file systems: local ones, buckets, and mount points
nameless.py       files without a name, which are uploaded in parts
claims.py         what no other process may change meanwhile
tree.py           everything below a directory
failure.py        errors of the operating system as errors of this package
"""
