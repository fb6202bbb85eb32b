"""`python -m imbalance_jax VERB`: the command line, where its program is not on the path."""

import sys

from imbalance_jax.launch.console import main

if __name__ == '__main__':
    sys.exit(main())
