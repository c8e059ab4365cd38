"""What follows from our row and from what Stripe says. Pure."""
