"""What the extension keeps for one application, and runs for it in one process."""
