"""Lua scripts, which are files beside this module."""

from __future__ import annotations

from hashlib import sha1
from importlib.resources import files


class Script:
    """A Lua script; the server keeps it and is sent its digest."""

    def __init__(self, text: str) -> None:
        self.text = text
        # The digest is the name Redis gives the script; nothing is secured by it.
        self.digest = sha1(text.encode(), usedforsecurity=False).hexdigest()


def load_script(name: str) -> Script:
    """The script in the file ``<name>.lua``."""
    return Script(files(__package__).joinpath(f"{name}.lua").read_text("utf-8"))
