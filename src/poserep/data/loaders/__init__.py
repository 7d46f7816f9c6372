"""Loaders: the annotation files of one data set each, read into `poserep.instances.Instance` records. No torch."""
