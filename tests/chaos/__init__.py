"""The whole system while its servers and connections fail."""
