"""From descriptors to ranks and scores."""
