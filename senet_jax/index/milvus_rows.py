"""Rows of an index in a collection of Milvus, a vector database.

It is embedded, in a folder of its own in that of the index, which one process at a time can open;
or it is a server or cluster at an address, whose token is in the environment variable
`MILVUS_TOKEN` and is not kept.
"""

import contextlib
import dataclasses
import logging
import os
import pathlib
import shutil
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from senet_jax.search.database import BlockedDatabase
from senet_jax.search.ranked_list import NO_MORE
from senet_jax.system.errors import UserError, reason
from senet_jax.system.optional import optional_import
from senet_jax.system.settings import Address, Settings, setting

EMBEDDED = Address("embedded")
TOKEN = "MILVUS_TOKEN"
FOLDER = "milvus.db"
"""By its end pymilvus knows that it is embedded."""
INSERTED_NUMBERS = 2**20
"""In one message: 4 MiB, of which a server takes 64."""
MOST_FOUND = 16_384
"""Of one query; Milvus's own limit."""
CONNECTING_SECONDS = 10.0


@dataclasses.dataclass(frozen=True)
class Milvus(Settings):
    """A vector database, embedded or a cluster's, for those who outgrow one machine."""

    grows_in_place: ClassVar[bool] = True

    uri: Address = setting(EMBEDDED, "of a server or cluster; embedded: in the index's folder")
    collection: str = setting("senet_jax", "how the names of its collections begin")

    def check(self) -> None:
        """Raises a `UserError` where pymilvus is not installed, or no server answers."""
        with optional_import("milvus", "searches by Milvus"):
            import milvus_lite  # noqa: F401
            import pymilvus  # noqa: F401
        if self.uri != EMBEDDED:
            self._connected(pathlib.Path()).close()

    def kind(self, size: int) -> str:
        """Where the rows are."""
        return f"{self.uri} {self.collection}"

    def made(self, folder: pathlib.Path, name: str, database: BlockedDatabase) -> "Collection":
        """A new collection.

        Raises:
            UserError: Milvus cannot be reached, or refuses.
        """
        from pymilvus import DataType

        rows = self._connected(folder, name)
        with rows.asking() as client:
            schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
            schema.add_field("row", DataType.INT64, is_primary=True)
            schema.add_field("descriptor", DataType.FLOAT_VECTOR, dim=database.width)
            indices = client.prepare_index_params()
            # An embedded one would build a graph for each of its files, and all again as they grow.
            kind = "FLAT" if self.uri == EMBEDDED else "AUTOINDEX"
            indices.add_index("descriptor", index_type=kind, metric_type="IP")
            client.create_collection(
                rows.name, schema=schema, index_params=indices, consistency_level="Strong"
            )
        return rows

    def opened(self, folder: pathlib.Path, name: str, saved: Mapping[str, Any]) -> "Collection":
        """The collection, which has to hold as many rows as were saved, or more.

        Raises:
            UserError: it does not, or Milvus cannot be reached.
        """
        rows = self._connected(folder, name)
        with rows.asking() as client:
            if not client.has_collection(rows.name):
                raise UserError(f"the collection {rows.name} is gone")
            client.load_collection(rows.name)
        if rows.count() < saved["count"]:
            raise UserError(f"rows are gone from the collection {rows.name}")
        return rows

    def remove(self, folder: pathlib.Path, name: str) -> None:
        """Drops the collection, if it is there; of an embedded one, with the last all files.

        Raises:
            UserError: Milvus cannot be reached.
        """
        rows = self._connected(folder, name)
        with rows.asking() as client:
            client.drop_collection(rows.name)
            is_empty = not client.list_collections()
        rows.close()
        if is_empty and self.uri == EMBEDDED:
            shutil.rmtree(folder / FOLDER)

    def _connected(self, folder: pathlib.Path, name: str = "") -> "Collection":
        with optional_import("milvus", "searches by Milvus"):
            import milvus_lite  # noqa: F401
            from pymilvus import MilvusClient
        # They log, with tracebacks, what they raise, and what the embedded one cannot do.
        for library in ("pymilvus", "milvus_lite", "grpc"):
            logging.getLogger(library).setLevel(logging.CRITICAL + 1)
        if self.uri == EMBEDDED:
            place = str(folder.resolve() / FOLDER)
            mend = "; it may be open in another process, and one at a time can be: end that one"
        else:
            place, mend = str(self.uri), f"; check the address and, in {TOKEN}, the token"
        with _refused(f"Milvus cannot be had at {place}", mend):
            client = MilvusClient(
                place, token=os.environ.get(TOKEN, ""), timeout=CONNECTING_SECONDS
            )
        return Collection(client, f"{self.collection}_{name}", place)


@dataclasses.dataclass(frozen=True, eq=False)
class Collection:
    """A collection of Milvus; see `backends.Rows`.

    Attributes:
        client: of pymilvus.
        name: of the collection.
        place: address, or folder of an embedded one.
    """

    client: Any
    name: str
    place: str
    most: int = MOST_FOUND

    @contextlib.contextmanager
    def asking(self) -> Iterator[Any]:
        """The client; what Milvus refuses is a `UserError`."""
        with _refused(f"Milvus at {self.place} refuses", ""):
            yield self.client

    def add(self, rows: np.ndarray, descriptors: np.ndarray) -> None:
        """Adds rows, or replaces them."""
        step = max(1, INSERTED_NUMBERS // descriptors.shape[1])
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            entities = [
                {"row": row, "descriptor": descriptor}
                for row, descriptor in zip(rows[part].tolist(), descriptors[part], strict=True)
            ]
            with self.asking() as client:
                client.upsert(self.name, entities)

    def save(self, name: str) -> dict[str, Any]:
        """Has everything written to disk."""
        with self.asking() as client:
            client.flush(self.name)
        return {"count": self.count()}

    def count(self) -> int:
        """How many rows there are."""
        with self.asking() as client:
            [counted] = client.query(
                self.name, output_fields=["count(*)"], consistency_level="Strong"
            )
        return counted["count(*)"]

    def nearest(self, queries: np.ndarray, count: int) -> np.ndarray:
        """See `backends.Rows`."""
        found = np.full((len(queries), count), NO_MORE, np.int64)
        with self.asking() as client:
            lists = client.search(
                self.name,
                list(queries),
                limit=count,
                anns_field="descriptor",
                output_fields=["row"],
                consistency_level="Strong",
            )
        for query, hits in enumerate(lists):
            rows = [hit["row"] for hit in hits]
            found[query, : len(rows)] = rows
        return found

    def close(self) -> None:
        """Closes the connection, and ends an embedded Milvus."""
        from milvus_lite.server_manager import server_manager_instance

        self.client.close()
        server_manager_instance.release_server(self.place)


@contextlib.contextmanager
def _refused(what: str, mend: str) -> Iterator[None]:
    import grpc
    from pymilvus.exceptions import MilvusException

    try:
        yield
    except (MilvusException, grpc.RpcError) as error:
        raise UserError(f"{what}: {reason(error)}{mend}") from error
