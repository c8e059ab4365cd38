"""Putting a bill right: adjustments, credit notes, voiding, settling, and who may let what out."""
