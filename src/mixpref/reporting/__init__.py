"""What a run found, to look at: the table in the terminal and the page `report.html`.

`stage.py` reads a run directory and writes the page; `gather.py` collects, `page.py` words and renders, `plots.py`
draws, `pictures.py` embeds images, `table.py` is the score table. Nothing here needs torch or a model.
"""
