"""What is known of a network before anything runs: sources tell it, stages ask. Readable without torch."""

from dataclasses import dataclass

from core.models.settings import BackboneSettings


@dataclass(frozen=True, slots=True)
class NetworkFacts:
    """What is known of the network that a stage will receive, before anything runs.

    Attributes:
        title, blocks: name and class names of the residual blocks of a network that is not in the
            catalogue; None where only the network itself can tell.
    """

    network: BackboneSettings | None
    classes: int | None = None
    image_size: int | None = None
    title: str = ""
    blocks: tuple[str, ...] | None = None

    def structure(self) -> tuple[str, tuple[str, ...]] | None:
        """The network's name and the class names of its residual blocks, or None where they are not known."""
        from core.models.catalogue import BACKBONES

        if self.blocks is not None:
            return self.title, self.blocks
        if self.network is None or self.network.backbone not in BACKBONES:
            return None
        backbone = BACKBONES[self.network.backbone]
        return backbone.title, backbone.blocks
