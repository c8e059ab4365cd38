"""Invoices explained, months compared, a shadow of a month."""
