"""`python -m billing_pipeline.cli`."""

from billing_pipeline.cli import main

main()
