"""Images in folders, or in a zip file of these."""

from pathlib import Path

from core.data.layout import lay_out
from core.data.reader import FilePictures
from core.data.source import Contents, Located
from core.data.tree import Tree, locate_tree


def locate(path: Path) -> Located:
    """List a folder, or look at a zip file.

    Raises:
        EspalierError: neither a folder nor a file, or it cannot be read.
    """
    return locate_tree(path, _contents)


def _contents(tree: Tree) -> Contents:
    layout = lay_out(tree.names, tree.place, tree.links, tree.empty)
    return Contents(layout.classes, FilePictures(layout.images, tree.open), tree.problems, layout.notes)
