"""What was used: events as they are imported and corrected, and the quantity of each period.

Here: events, their corrections, snapshots, and quarantine of what cannot be measured. Not here: what a quantity costs
(`pricing/`), and reading files (`imports/`).
"""
