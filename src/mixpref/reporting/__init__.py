"""What a run found, to look at: the table in the terminal and the page `report.html`.

`stage.py` reads a run directory and writes the page. What is read: `gather.py` all of it, by `sampled.py` (counts of
samples and pairs), `changes.py` (before against after, item by item) and `gallery.py` (the cases in the file, by
`drawn.py`, `pictures.py`, `cases.py` and `differences.py`). What is shown: `page.py` renders, with `headline.py`,
`scoreboard.py`, `panels.py` (which plots), `plots.py` and `drawing.py` (how), `table.py` (the score table); the
browsers of cases are `templates/report.js`. Nothing here needs torch or a model.
"""
