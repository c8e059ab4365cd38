"""Proofs that the webhooks lose nothing, refuse nothing and let nothing in, under load and while things die.

`make storm` runs them at full size; test_storm.py runs a shorter part of each.
"""
