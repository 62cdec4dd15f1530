"""A person's own network, from a Python file that they trust (`core.models.trusted_python`)."""

from pathlib import Path

from core.common.paths import resolved
from core.data.preprocess import Normalisation
from core.machine.trusted_files import TrustList
from core.models.forecast import StageForecast
from core.models.network_facts import NetworkFacts
from core.models.trusted_python import PythonSettings, open_python
from core.sources.backbone import forecast_of
from core.sources.base import (
    ForecastContext,
    MakeContext,
    NetworkSource,
    OpenContext,
    OpenedNetwork,
    StageInput,
)


class PythonFileSource(NetworkSource[PythonSettings]):
    """See the module's documentation."""

    id = "python"
    title = "Own network"
    help = "A network of your own, made by a Python file that you trust."
    Settings = PythonSettings

    def facts(self, settings: PythonSettings, image_size: int | None) -> NetworkFacts:
        title = f"The network of {Path(settings.path).name}"
        return NetworkFacts(None, None, image_size, title, settings.block_names)

    def normalisation(self, settings: PythonSettings) -> Normalisation | None:
        return settings.normalise()

    def open(self, settings: PythonSettings, context: OpenContext) -> OpenedNetwork:
        from core.models.python_network import build_python

        network = open_python(settings, context.base, TrustList.default())
        preprocess = self.prepare(settings, context)
        model, notes = build_python(
            settings, network, context.data.classes, context.base, context.seed, preprocess.size
        )
        return OpenedNetwork(model, network, preprocess, notes)

    def make(self, settings: PythonSettings, context: MakeContext) -> StageInput:
        if resolved(settings.path, context.base).is_file():  # a refusal names the person's own file
            open_python(settings, context.base, TrustList.default())
        return super().make(settings, context)

    def forecast(self, settings: PythonSettings, context: ForecastContext) -> StageForecast:
        if isinstance(context.data, str):
            return context.unknown(context.data)
        return forecast_of(
            open_python(settings, context.base, TrustList.default()), context, weights_known=False
        )
