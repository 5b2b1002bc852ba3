"""Every reader of bytes that the program did not write: valid files, and what reads them.

To add one: a `Reader` in the table of a module here, and in `corpus/NAME/` what once broke it.
"""

from tests.fuzz.reader import Reader
from tests.fuzz.readers import arrays, images, indices, lists, prepared, results, weights

READERS: dict[str, Reader] = {
    name: reader
    for module in (lists, arrays, images, indices, prepared, results, weights)
    for name, reader in module.READERS.items()
}
