"""Checkpoints: from a file, a URL or a name to weights that fit. Importing it does nothing."""
