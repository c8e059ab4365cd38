"""Stripe's words as plain values, and the closed table of what its errors mean. Pure."""
