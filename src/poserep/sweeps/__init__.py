"""Tables of runs: their rows, their cells, and running them."""
