"""At which sizes a photograph is described."""

SCALES = (0.7071, 1.0, 1.4142)
"""Those of the authors' evaluation, relative to a photograph's own size."""
