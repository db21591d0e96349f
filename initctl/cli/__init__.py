"""The command line: one file for each command, which parses, makes one call of the library, and shows the result.

main.py         the app; turns errors and interrupts into exit statuses
mistyped.py     what to write in place of a line that cannot be read
pointers.py     where to read on after a failure
commands.py     the commands by name, each loaded when it is called
explanation.py  the text of `--help`
words.py        what no command line may say: an option twice, -o=OUT, an empty path
panels.py       the headings of options in `--help`
options.py      options that commands share
fields.py       fields of a configuration, KEY=VALUE
candidates.py   how the last word of a command line may be completed
output.py       what a command writes: tables or JSON, quiet or verbose
signals.py      what a signal does, before and after the work is done
envelope.py     the JSON document that every command writes
streams.py      stdout and stderr, which may be closed, full or unread; safe lines on them
"""
