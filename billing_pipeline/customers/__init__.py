"""Who is billed: customers as the platform names them, their zone, currency and billing cycle.

Here: the customers file and what its columns mean. Not here: the periods that follow from a cycle (`invoicing/`), and
a customer's object at Stripe (`charging/`).
"""
