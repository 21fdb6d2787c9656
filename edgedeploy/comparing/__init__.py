"""Two profiles of like kind side by side: what changed, how surely, and whether that may pass."""
