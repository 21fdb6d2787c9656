"""The run side: loads an artifact and infers. Travels to boards: Python 3.6 and NumPy suffice."""
