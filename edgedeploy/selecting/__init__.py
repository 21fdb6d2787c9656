"""Which variant to take: constraints, the best that meets them, and why the others fell."""
