"""Our books beside Stripe's, and the end of a month."""
