"""The parts of `gpu_checks.py`: what is done in processes of their own, and how it is printed."""
