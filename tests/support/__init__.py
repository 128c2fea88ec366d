"""Helpers that tests share: clients, servers, and the applications they run."""
