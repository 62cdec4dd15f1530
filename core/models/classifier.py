"""The one shape of every network here: body → (FEM) → pool → (FEM) → head."""

from torch import Tensor, nn

from core.models.fem import FeatureEnhancement
from core.models.pooling import GlobalAverage
from core.models.settings import FemSettings


class ImageClassifier(nn.Module):
    """A backbone's body with pooling, an optional FEM, and a classifier.

    Args:
        body: images [b, 3, s, s] → feature map [b, c, h, w].
        channels: c of that map.
        head: pooled features [b, c] → logits [b, classes].
        fem: place and widths of the Feature Enhancement Module.

    Attributes:
        constraints: what later training has to keep, by parameter name: "sparse" (zeros stay
            zero) or "shared" (equal values stay equal). Held by the values themselves, so that
            surgery cannot put it out of step; see `core.models.constraints`.
    """

    def __init__(self, body: nn.Module, channels: int, head: nn.Module, fem: FemSettings):
        super().__init__()
        self.constraints: dict[str, str] = {}
        self.body = body
        self.map_fem = FeatureEnhancement(channels, fem) if fem.place == "map" else nn.Identity()
        self.pool = GlobalAverage()
        self.fem = FeatureEnhancement(channels, fem) if fem.place == "pooled" else nn.Identity()
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        """Images [b, 3, s, s] → logits [b, classes]."""
        feature = self.pool(self.map_fem(self.body(images))).flatten(1)
        return self.head(self.fem(feature))
