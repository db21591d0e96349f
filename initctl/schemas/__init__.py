"""JSON Schemas: a file `COMMAND.schema.json` for what each command writes as `data` under `--json`, and
`report.schema.json` for what `apply --report` writes. They refer to each other as files of one directory.
"""
