"""What was used: events as they are imported and corrected, and the quantity of each period.

Prices belong to `pricing/`.
"""
