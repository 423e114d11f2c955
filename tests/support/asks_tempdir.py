"""A module that asks for the temporary directory when it is imported."""

import tempfile

tempfile.gettempdir()
