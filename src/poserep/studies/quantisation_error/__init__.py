"""The quantisation error of coordinates: what representations cost without a network, from annotated poses alone."""
