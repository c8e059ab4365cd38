"""Tests of the Stripe emulator, over real HTTP with the installed SDK."""
