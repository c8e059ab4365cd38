"""How two months differ. Pure."""
