"""Simulations on planted truth: how often intervals hold it, and how often tests find what is and is not there.

python -m imbalance_jax.analysis.validation [--runs=300] [NAME ...]
"""
