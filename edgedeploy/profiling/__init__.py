"""The host's half of measuring: a worker measures, its samples become a record with a verdict."""
