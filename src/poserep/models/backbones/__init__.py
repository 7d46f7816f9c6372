"""Backbones: from images to feature maps, keypoint tokens or score maps of stacks."""
