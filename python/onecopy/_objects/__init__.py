"""Python's objects in regions: how each is written, and built again over the region's memory."""
