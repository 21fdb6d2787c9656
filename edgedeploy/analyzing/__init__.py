"""What a model costs, by its graph alone; docs/analyze.md says what the numbers are."""
