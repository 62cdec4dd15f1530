"""Token merging: of a vision transformer's tokens, the most alike become one.

Source: Bolya et al. 2023 (ToMe), arXiv 2210.09461: bipartite soft matching. The tokens are dealt out into two halves in turn; each of the first half is
compared with all of the second, and the r that are most alike to theirs are merged into them. The first tokens (class, registers) stay.

Where we depart: they merge inside of a block, between attention and the linear layers, compare keys, weigh tokens by how many they stand for and
let attention know of it. This is a module behind a block, which compares the tokens themselves and takes the plain mean of what is merged at
once: nothing of the blocks changes, and every number of tokens is known beforehand, which an exported graph needs.

Shapes: tokens [b, n, d] become [b, n − r, d].
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


def removable(tokens: int, prefix: int, wanted: int) -> int:
    """How many of so many tokens can go at once: at most half of those behind the first `prefix`."""
    return max(0, min(wanted, (tokens - prefix) // 2))


class TokenMerging(nn.Module):
    """Merges tokens into those that they are most alike to.

    Args:
        prefix: tokens at the beginning that stay as they are.
        removed: r, how many go; fewer where there are fewer than twice as many.
    """

    def __init__(self, prefix: int, removed: int):
        super().__init__()
        self.prefix, self.removed = prefix, removed

    def forward(self, tokens: Tensor) -> Tensor:
        """[b, n, d] → [b, n − r, d]."""
        gone = removable(tokens.shape[1], self.prefix, self.removed)
        if not gone:
            return tokens
        first, second = tokens[:, self.prefix :: 2], tokens[:, self.prefix + 1 :: 2]
        ours, theirs = (functional.normalize(half.detach().float(), dim=2) for half in (first, second))
        likeness, nearest = (ours @ theirs.transpose(1, 2)).max(2)  # [b, n₁]
        order = likeness.topk(first.shape[1], dim=1).indices
        merged, stays = order[:, :gone], order[:, gone:]
        into = nearest.gather(1, merged)  # [b, r]
        places = torch.arange(second.shape[1], device=tokens.device)
        joins = (into[:, :, None] == places).to(tokens.dtype)  # [b, r, n₂]
        counts = 1 + joins.sum(1)[:, :, None]
        sums = second + joins.transpose(1, 2) @ _picked(first, merged)
        return torch.cat([tokens[:, : self.prefix], _picked(first, stays), sums / counts], 1)


def _picked(tokens: Tensor, places: Tensor) -> Tensor:
    """Tokens [b, n, d] at places [b, m]: [b, m, d]."""
    return tokens.gather(1, places[:, :, None].expand(-1, -1, tokens.shape[2]))
