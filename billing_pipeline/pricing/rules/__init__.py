"""The price book and rating. Pure, and the whole of what an amount depends on."""
