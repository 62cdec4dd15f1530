"""Images in folders, or in a zip file of these."""

from pathlib import Path

from core.common.errors import EspalierError
from core.data.layout import lay_out
from core.data.reader import FilePictures
from core.data.source import Contents, Located, Watch
from core.data.tree import Tree, locate_tree


def locate(path: Path, watch: Watch) -> Located:
    """List a folder, or look at a zip file.

    Raises:
        EspalierError: neither a folder nor a file, or it cannot be read.
        Stopped: a person asked to stop.
    """
    return locate_tree(path, lambda tree: _contents(tree, watch), watch)


def _contents(tree: Tree, watch: Watch) -> Contents:
    """Raises EspalierError where there are no images, or no classes."""
    if tree.problems and not tree.names:
        raise EspalierError(
            f"Expected images in {tree.place}, received none that can be used; the first: {': '.join(tree.problems[0])}.",
            "Unpack it yourself, or pack the images with names that begin at their folders.",
        )
    layout = lay_out(tree.names, tree.place, tree.links, tree.empty, watch, tree.hidden)
    return Contents(layout.classes, FilePictures(layout.images, tree.open), tree.problems, layout.notes)
