"""Pages of finished working directories and of sweeps over them, and benchmarks with their peers.

A page computes nothing that is not in the tables.
"""
