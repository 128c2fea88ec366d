"""The whole system while everything under it fails."""
