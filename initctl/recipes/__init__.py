"""Recipes: rules in TOML files, written by the user or shipped as presets of model families.

reading.py     files and presets → a recipe: rules in order, and seeds, including extended recipes
document.py    one TOML document, every key and type checked
malformed.py   what to write in place of text that is not TOML
positions.py   lines and columns of keys in a document
writing.py     rules → an equivalent TOML document
presets.py     the presets, and which of them fits a model
schema.py      the JSON Schema of recipes, for editors
"""
