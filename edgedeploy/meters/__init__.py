"""Sensors and what they hang on: tegrastats, INA3221, RAPL, NVML, the process, the CPU, the board.

Valid Python 3.6, standard library and one vendor library: this folder travels to boards.
"""
