"""What a customers file holds, and billing cycles. Pure."""
