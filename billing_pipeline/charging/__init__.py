"""Final invoices into payments at Stripe, each exactly once: steps, brakes, canaries, retries.

Reports of a month are in `books/`.
"""
