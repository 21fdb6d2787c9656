"""What measures where the board is: a JSON job on stdin, JSON lines on stdout.

``python -m edgedeploy.worker`` is started by `edgedeploy.profiling`, here or on a board. It needs
Python 3.6, NumPy and the one vendor library that the artifact wants.
"""
