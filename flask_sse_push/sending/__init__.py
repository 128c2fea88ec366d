"""From a verb to the event log."""
