"""Recipes: rules in TOML files, from their author or from a model family's preset.

reading.py     files and presets → a recipe: rules in order, and seeds; with what they extend
document.py    one TOML document, every key and type checked
positions.py   where in a document something is
writing.py     rules → a TOML document that says the same
presets.py     the presets that are here, and which of them fits a model
schema.py      the JSON Schema of recipes, for editors
"""
