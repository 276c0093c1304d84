"""What the toolboxes lack to evaluate."""
