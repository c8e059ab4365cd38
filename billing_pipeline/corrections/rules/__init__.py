"""How an amount is taken back. Pure."""
