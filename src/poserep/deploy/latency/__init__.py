"""How long networks take: several ways to run one, timed in turns."""
