"""Ways to start the suite: the console script, and a plan on each kind of cluster."""
