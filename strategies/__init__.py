"""What to hold because of it: polars definitions over the panel, one hypothesis a file."""
