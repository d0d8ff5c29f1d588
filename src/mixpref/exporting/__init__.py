"""A run's preference pairs in the forms that other programs read.

To add one, write a module with a class `Writer` (see `items.Writer`) and list it in `stage.FORMATS`.
"""
