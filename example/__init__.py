"""The example application: a small shop with live orders, chat and announcements."""
