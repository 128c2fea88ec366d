"""What the extension keeps for one application, and for it in one process."""
