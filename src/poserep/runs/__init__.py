"""Run directories: what they hold, who holds them, and how their processes are started and stopped."""
