"""What runs when there is no Stripe account: the Stripe emulator, the demo, the benchmark's data."""
