"""Who is billed: customers as the platform names them, their zone, currency and billing cycle."""
