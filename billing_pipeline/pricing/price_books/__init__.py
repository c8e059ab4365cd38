"""Price books that the package ships."""
