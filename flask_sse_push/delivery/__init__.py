"""Delivery: the way of an event from the event log to the open connections."""
