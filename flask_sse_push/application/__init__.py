"""The extension's state of one application, and its running parts in one process."""
