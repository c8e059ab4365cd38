"""The receiver of Stripe's webhooks: verifies, stores, answers; small on purpose."""
