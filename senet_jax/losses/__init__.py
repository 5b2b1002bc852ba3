"""Losses of the descriptors: pure functions of arrays, on one device or spread over several."""
