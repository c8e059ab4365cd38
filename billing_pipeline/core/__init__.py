"""Words that every room speaks: money, months, errors. Depends on nothing."""
