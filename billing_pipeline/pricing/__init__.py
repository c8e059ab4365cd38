"""What a quantity costs: the price book and its load. Which lines an invoice has belongs to `invoicing/`."""
