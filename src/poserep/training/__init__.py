"""From a configuration to a trained and evaluated run."""
