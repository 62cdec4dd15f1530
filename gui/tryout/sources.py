"""Where images come from: what is dragged in or pasted, and the camera."""

from pathlib import Path
from typing import Any

from PySide6.QtCore import QMimeData, QObject, Signal
from PySide6.QtGui import QImage

from core.data.layout import IMAGE_ENDINGS
from gui.base.translation import QT_TR_NOOP, tr

NO_MULTIMEDIA = QT_TR_NOOP(
    "The camera needs the package PySide6-Addons; an installation with pip gets it from Espalier's extra “camera”."
)
_NO_CAMERA = QT_TR_NOOP("No camera was found; connect one and press Camera again.")
_WIDEST = 1280


def paths_in(mime: QMimeData) -> list[Path]:
    """The images and folders of a drag or of the clipboard; empty where there is anything else among them."""
    paths = [Path(url.toLocalFile()) for url in mime.urls() if url.isLocalFile()]
    usable = [path for path in paths if path.is_dir() or path.suffix.casefold() in IMAGE_ENDINGS]
    return usable if len(usable) == len(mime.urls()) else []


def picture_in(mime: QMimeData) -> QImage | None:
    """The pixels of a drag or of the clipboard; None where there are none."""
    image = mime.imageData() if mime.hasImage() else None
    return image if isinstance(image, QImage) and not image.isNull() else None


class FrameSource(QObject):
    """Something that gives one picture after the other.

    Signals:
        frame: a `QImage`.
        failed: why there are no pictures, in a sentence.
    """

    frame = Signal(QImage)
    failed = Signal(str)

    def start(self) -> None:
        """Begin to give pictures."""

    def stop(self) -> None:
        """Give no more."""


class Camera(FrameSource):
    """The system's first camera."""

    def __init__(self, parent: QObject | None = None):
        super().__init__(parent)
        self._camera: Any = None
        self._session: Any = None
        self._sink: Any = None

    def start(self) -> None:
        from PySide6.QtMultimedia import QCamera, QMediaCaptureSession, QMediaDevices, QVideoSink

        device = QMediaDevices.defaultVideoInput()
        if device.isNull():
            self.failed.emit(tr(_NO_CAMERA))
            return
        self._camera, self._session, self._sink = QCamera(device), QMediaCaptureSession(), QVideoSink()
        fitting = [each for each in device.videoFormats() if each.resolution().width() <= _WIDEST]
        if fitting:
            self._camera.setCameraFormat(max(fitting, key=_pixels_and_rate))
        self._session.setCamera(self._camera)
        self._session.setVideoSink(self._sink)
        self._sink.videoFrameChanged.connect(self.take)
        self._camera.errorOccurred.connect(
            lambda _kind, words: self.failed.emit(tr("The camera failed: {words}", words=words))
        )
        self._camera.start()

    def take(self, frame: Any) -> None:
        """A frame of the system's as a picture."""
        image = frame.toImage()
        if not image.isNull():
            self.frame.emit(image)

    def stop(self) -> None:
        if self._camera is not None:
            self._sink.videoFrameChanged.disconnect(self.take)
            self._camera.stop()
        self._camera = self._session = self._sink = None


def _pixels_and_rate(form: Any) -> tuple[int, float]:
    size = form.resolution()
    return size.width() * size.height(), form.maxFrameRate()


def why_no_camera() -> str:
    """Why no camera can be used, in a sentence; "" where Qt's multimedia part is there."""
    try:
        import PySide6.QtMultimedia  # noqa: F401
    except ModuleNotFoundError:
        return tr(NO_MULTIMEDIA)
    except ImportError as error:
        return tr(
            "The camera cannot be used, because a library of the system is missing: {error}.", error=error
        )
    return ""
