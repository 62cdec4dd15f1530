"""Draws the application's icon in the sizes and formats that menus want. Runs in the package's environment.

python packaging/icons.py SOURCE     writes into SOURCE/packaging/{linux/icons,windows,macos}
"""

import os
import shutil
import sys
from pathlib import Path

os.environ["QT_QPA_PLATFORM"] = "offscreen"

from PIL import Image
from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QGuiApplication, QImage, QPainter
from PySide6.QtSvg import QSvgRenderer

SIZES = (16, 24, 32, 48, 64, 128, 256, 512)


def draw(drawing: Path, target: Path, pixels: int) -> None:
    """Paint the drawing as a square picture."""
    image = QImage(QSize(pixels, pixels), QImage.Format.Format_ARGB32)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    QSvgRenderer(str(drawing)).render(painter)
    painter.end()
    target.parent.mkdir(parents=True, exist_ok=True)
    if not image.save(str(target)):
        raise OSError(f"{target} could not be written")


def main(source: Path) -> None:
    """Every icon of every platform."""
    application = QGuiApplication([])
    drawing, packaging = source / "resources" / "icons" / "espalier.svg", source / "packaging"
    icons = packaging / "linux" / "icons"
    for pixels in SIZES:
        draw(drawing, icons / f"{pixels}x{pixels}" / "apps" / "espalier.png", pixels)
    (icons / "scalable" / "apps").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(drawing, icons / "scalable" / "apps" / "espalier.svg")
    with Image.open(icons / "512x512" / "apps" / "espalier.png") as large:
        large.save(packaging / "windows" / "espalier.ico", sizes=[(n, n) for n in SIZES if n <= 256])
        large.save(packaging / "macos" / "espalier.icns")
    application.quit()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
