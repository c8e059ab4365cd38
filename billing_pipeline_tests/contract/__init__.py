"""What we say to Stripe, and what the emulator answers, held to Stripe's published contract."""
