"""What a finished working directory says, as one page. Nothing is computed here that is not in its tables."""
