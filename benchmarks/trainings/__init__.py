"""What `recipes.py` and `shapes.py` share: networks trained alike, looked at once, set beside."""
