"""Pictures of every page of the console and the portal, from the demo's data: `make pictures`."""
