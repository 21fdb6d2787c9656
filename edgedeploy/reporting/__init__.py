"""Profiles as something to look at: one table of values, shown in several forms."""
