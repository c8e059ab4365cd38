"""The gates as data. Pure."""
