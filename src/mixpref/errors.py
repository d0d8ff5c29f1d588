"""The one exception that is meant for the user's eyes."""

from __future__ import annotations


class MixprefError(Exception):
    """A mistake in what the user gave, or something missing that a run needs.

    The message names cause and remedy. The command line prints it as `mixpref: <message>` without a traceback and
    exits with status 2; any other exception is a defect of the program and keeps its traceback.
    """
