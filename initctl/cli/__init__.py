"""The command line: one command a file, each of which parses, makes one call of the library, and renders.

main.py         the app; errors and interrupts to exit statuses
pointers.py     where to read on after a failure
commands.py     the commands by name, each loaded when it is called
explanation.py  what `--help` says
panels.py       what options are about, as --help groups them
options.py      options that commands share
candidates.py   what the last word of a command line may become
output.py       how a command talks: tables or JSON, quiet or verbose
signals.py      what a signal does, before and after the work is done
envelope.py     the JSON document that every command writes
streams.py      stdout and stderr that may be closed, full or unread, and safe lines on them
"""
