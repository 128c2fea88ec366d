"""Helpers for all other packages: greenlets and threads, retry pauses, shutdown."""
