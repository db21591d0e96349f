"""Results as tables and sentences: plain data, and how a terminal, a notebook and a pipe show them.

    tables.py      a report of sentences and tables, a result that shows its own, and numbers in words
    fitting.py     the columns of a table on a terminal of some width
    folding.py     many rows that differ in layer numbers as one
    json_rows.py   JSON with a line for each row of a table
    blocks.py      numbers as a line of blocks
    annotations.py what GitHub Actions shows beside a line of a file
    colors.py      whether anybody wants colors, and what they mean
    markdown.py    documents, with lines of code that are not wrapped
    console.py     what is drawn on a terminal, and what a pipe gets instead

What a table says is decided by the result that makes it. rich is loaded only if it draws.
"""
