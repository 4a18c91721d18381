"""The page a person reads: one self-contained HTML file that opens without a network."""
