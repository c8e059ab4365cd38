"""Price books shipped with the package. Data only; `core.price_book` reads and checks them."""
