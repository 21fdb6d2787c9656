"""What `models_table.py` and `tradeoffs.py` share: facts of shipped models, and their pages."""
