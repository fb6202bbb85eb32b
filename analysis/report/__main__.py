"""Writes WORKDIR/report.html."""

from imbalance_jax.analysis.report.page import main
from imbalance_jax.system import output

output.leave(main)
