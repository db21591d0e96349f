"""JSON Schemas: `COMMAND.schema.json` for the `data` that each command writes with `--json`, `report.schema.json` for
the file that `apply --report` writes, `parts.schema.json` and `part.schema.json` for those that the parts of a result
share. They refer to each other as files of one directory.
"""

PLAN = "initctl-plan/"
"""What the schema of each saved plan begins with; the version follows."""
PARTS, PART = "initctl-parts/", "initctl-part/"
"""The same of the notes that the parts of a result share, and of each part's receipt."""
