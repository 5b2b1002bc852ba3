"""The scores of queries with one block of a database: dot products in float32.

All that ranks a database asks here. The same queries and the same block give the same bits, so that
an item's place is the same whoever asks for it.
"""

import jax
import jax.numpy as jnp
import numpy as np

from senet_jax.errors import UserError
from senet_jax.retrieval.blocks import BlockedDatabase


def block_scores(queries: jax.Array, database: BlockedDatabase, start: int) -> jax.Array:
    """The scores of the block that begins with the item `start`.

    Args:
        queries: float32[q d], finite.
        database: whose block it is.
        start: one of the database's `starts`.

    Returns:
        float32[q b]; -inf for rows that are not ranked by score.

    Raises:
        UserError: a descriptor that should be ranked is not finite, or its score is not.
    """
    block, is_ranked = database.read(start), database.is_ranked(start)
    scores, are_finite = _dot_products(queries, block, is_ranked)
    if not are_finite:
        _refuse(np.asarray(scores), block, is_ranked, start, database)
    return scores


def _refuse(scores, block, is_ranked, start, database):
    wrong_rows = np.flatnonzero(is_ranked & ~np.isfinite(block).all(axis=1))
    if wrong_rows.size:
        raise UserError(
            f"{database.name(start + wrong_rows[0])} is not finite in float32; "
            "mend the descriptor or leave it out"
        )
    query, row = np.argwhere(is_ranked & ~np.isfinite(scores))[0]
    raise UserError(
        f"the dot product of query {query} with {database.name(start + row)} is "
        f"{scores[query, row]} in float32; scale the descriptors down"
    )


@jax.jit
def _dot_products(queries, block, is_ranked):
    """Scores float32[q b] of a block float32[b d], and whether all are finite that must be.

    A value that is not finite makes every score of its row not finite, so the scores tell.
    """
    products = jnp.matmul(block, queries.T, precision=jax.lax.Precision.HIGHEST).T
    are_finite = (jnp.isfinite(products) | ~is_ranked).all()
    return jnp.where(is_ranked, products, -jnp.inf), are_finite
