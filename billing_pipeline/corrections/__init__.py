"""What puts a final bill right: void, credit notes, adjustments, settling. And what holds one back.

What Stripe is asked on the way is in `charging/` and `stripe_gateway/`.
"""
