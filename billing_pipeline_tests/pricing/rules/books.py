"""What the books of the price book's tests begin with."""

METERS = """\
name: test
currency: eur
meters:
  fee: {aggregation: constant}
  calls: {aggregation: sum, unit: call}
  clusters: {aggregation: last, dimensions: [size, environment]}
versions:
"""
