"""From photographs to what networks make of them."""
