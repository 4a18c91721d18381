"""What was true, and when it was known: the DuckDB store, its sources, the calendar and the rule book."""
