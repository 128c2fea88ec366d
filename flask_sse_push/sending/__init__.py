"""Sending: the verbs, and the way of an event to the event log."""
