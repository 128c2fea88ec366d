"""Loads the Lua scripts, which are files in this folder."""

from __future__ import annotations

from hashlib import sha1
from importlib.resources import files


class Script:
    """A Lua script, which the server caches under its digest."""

    def __init__(self, text: str) -> None:
        self.text = text
        # Redis uses this digest as the name of the script, not for security.
        self.digest = sha1(text.encode(), usedforsecurity=False).hexdigest()


def load_script(*names: str) -> Script:
    """Load the script in the files ``<name>.lua``, one after the other."""
    folder = files(__package__)
    texts = [folder.joinpath(f"{name}.lua").read_text("utf-8") for name in names]
    return Script("".join(texts))
