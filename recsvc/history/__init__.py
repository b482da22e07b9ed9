"""Raw events, items and customers become clean interactions and the matrix that training reads."""
