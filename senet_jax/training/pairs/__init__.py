"""Training of a network that scores pairs of images, on the kept maps of a frozen trunk."""
