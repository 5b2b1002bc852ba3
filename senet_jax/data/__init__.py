"""What is read from disk: ground truth, photographs, datasets."""
