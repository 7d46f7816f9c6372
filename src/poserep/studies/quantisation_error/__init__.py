"""What representations cost without any network: annotated poses through crops, targets, disturbances and readouts."""
