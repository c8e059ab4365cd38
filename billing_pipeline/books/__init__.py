"""Our books against Stripe's, and closing a month. Changes nothing at Stripe but drafts that nobody owns."""
