"""The networks: pure Flax modules, arrays in and arrays out."""
