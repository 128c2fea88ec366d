"""From the event log to the open connections."""
