"""*My ONNX model*: the file, images to measure it on, and what to do with it."""

from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFileDialog, QVBoxLayout, QWidget

from core.common.errors import EspalierError
from core.common.paths import resolved
from core.data.settings import DataSettings
from core.document.from_model import OnnxDescription, onnx_pipeline
from core.document.pipeline import Pipeline
from core.document.templates import FOR_MODELS, model_stages
from gui.base.translation import tr
from gui.base.worker import Failure
from gui.start.images_box import ImagesBox
from gui.start.own_dialog import OwnDialog
from gui.start.typed_line import TypedLine
from gui.start.ways import path_row
from gui.widgets.buttons import text


class ModelDialog(OwnDialog):
    """Accepted when a person wants the pipeline.

    Signals:
        model_wanted: a file to look into.
    """

    model_wanted = Signal(object)

    def __init__(self, parent: QWidget | None, data: DataSettings, data_title: str):
        """`data`, called `data_title`, is what is measured on where no other images are chosen."""
        super().__init__(
            parent, "model-dialog", tr("My ONNX model"),
            tr("An image classifier in an ONNX file. It is only read; its smaller versions are new files."),
        )  # fmt: skip
        self._data, self._path, self._looked_at = data, Path(), ""
        self.description: OnnxDescription | None = None
        self.line = TypedLine("own-model", tr("ONNX file"))
        self.line.settled.connect(self._look)
        self.line.textChanged.connect(lambda _text: self._update())
        self.about_model = text("", "muted", wrap=True)
        self.about_model.setObjectName("own-model-found")
        self.images = ImagesBox(
            tr("With images and their classes, accuracy is measured before and after, and ranges for INT8 are found on "
               "some of them. Without any of your own, those that are open are used: {data}.", data=data_title)
        )  # fmt: skip
        self.add(tr("Model"), self._model_row(), self.about_model)
        self.add(tr("Images"), self.images)
        self.show_templates(FOR_MODELS)
        self.add_end()
        self.images.changed.connect(self._update)
        self.line.setFocus()
        self._update()

    def _model_row(self) -> QWidget:
        page = QWidget()
        page.setAccessibleName(tr("ONNX file"))
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(path_row(self.line, ("own-model-file", tr("File…"), self._pick)))
        page.setFocusProxy(self.line)
        return page

    def look(self, path: Path) -> None:
        """Take this file."""
        self._looked_at = ""  # the file may be another by now
        self.line.take(str(path))

    def show_model(self, description: OnnxDescription) -> None:
        """What the file says of itself."""
        self.description = description
        size = (
            tr("Images of {size} px.", size=description.size)
            if description.size
            else tr("Images of any size.")
        )
        described = (
            tr("It says how images are prepared.")
            if description.described
            else tr("It does not say how images are prepared: ImageNet's mean and deviation are assumed; change that in "
                    "the pipeline's first card.")
        )  # fmt: skip
        self.about_model.setText(" ".join((size, described, *description.notes)))
        only = [one for one in FOR_MODELS if one.id == "measure"]
        self.show_templates(only if description.quantized else FOR_MODELS)
        self._update()
        self.fit()
        if self._ready and not self.line.in_typing:
            self.make.setFocus()

    def show_failure(self, failure: Failure) -> None:
        """Why the file cannot be used."""
        self.description = None
        self.about_model.setText(f"{failure.message} {failure.advice}".strip())
        self._update()
        self.fit()

    @property
    def _ready(self) -> bool:
        """Whether the file that stands in the line was looked into, and can be used."""
        return self.description is not None and self.line.text().strip() == self._looked_at

    def _look(self) -> None:
        words = self.line.text().strip()
        if words == self._looked_at:
            return
        self._looked_at, self.description = words, None
        self.about_model.setText("")
        try:
            self._path = resolved(words, Path.home())
        except EspalierError as error:
            self.show_failure(Failure(error.message, error.advice, "", True))
            return
        if words:
            self.about_model.setText(tr("Looking into {name} …", name=self._path.name))
            self.model_wanted.emit(self._path)
        self._update()

    def _pick(self) -> None:
        start = self.line.text().strip() or str(Path.home())
        chosen, _ = QFileDialog.getOpenFileName(self, tr("Choose your model"), start, tr("ONNX (*.onnx)"))
        if chosen:
            self.look(Path(chosen))

    def _update(self) -> None:
        """Enabled or not, from the state alone."""
        self.templates.setEnabled(self._ready)
        self.make.setEnabled(self._ready and not self.images.busy)

    def pipeline(self) -> Pipeline:
        """What was chosen, as a document."""
        assert self.description is not None
        found = self.images.found
        data = DataSettings.parse(found.data) if found is not None else self._data
        return onnx_pipeline(self._path, self.description, data, model_stages(self.template))
