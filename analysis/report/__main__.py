"""Writes WORKDIR/report.html."""

from imbalance_jax.analysis.report.page import main

main()
