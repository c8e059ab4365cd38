"""What a usage file holds, and how events become a quantity. Pure."""
