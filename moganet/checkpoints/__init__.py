"""Checkpoints: where they are, whether they are safe and whole, whose they are, and under which names."""
