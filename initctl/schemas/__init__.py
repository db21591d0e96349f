"""JSON Schemas of what commands write as `data` under `--json`: a file `COMMAND.schema.json` for each."""
