"""Forecasts as jobs of a tool child, so that who asks (the window) neither loads PyTorch nor waits for it."""

from collections.abc import Iterator
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from core.common.control import RunControl
from core.document.pipeline import Pipeline
from core.machine.jobs import JobContext
from core.models.forecast import Forecast
from core.runs.home import Home
from core.whatif.document_forecasts import WhatIf
from core.whatif.latency import measure


def request(pipeline: Pipeline, base: Path, home: Home) -> dict[str, Any]:
    """The arguments of the jobs here."""
    return {"pipeline": pipeline.as_dict(), "base": str(base), "home": str(home.folder)}


def forecast(arguments: dict[str, Any], context: JobContext) -> dict[str, Any]:
    """Job: each forecast is sent as a part (`Forecast` as plain data), in the order of the file.

    Returns: `unmeasured`: keys of the networks whose layers this machine has not timed yet.
    """
    what_if = _what_if(arguments["home"])
    for one in _forecasts(what_if, arguments, context.control):
        context.send_part(asdict(one))
    return {"unmeasured": [missing.key for missing in what_if.unmeasured]}


def measure_layers(arguments: dict[str, Any], context: JobContext) -> dict[str, Any]:
    """Job: time the layers that the forecasts of a pipeline lack, which takes about a minute a network.

    Returns: `measured`: the keys that were tried; `refused`: why networks could not be timed, a sentence each.
    """
    what_if = WhatIf(Home(Path(arguments["home"])))
    for _ in _forecasts(what_if, arguments, context.control):
        pass
    missing = what_if.unmeasured
    refused = measure(Home(Path(arguments["home"])), missing, context.control, context)
    return {"measured": [one.key for one in missing], "refused": refused}


def _forecasts(what_if: WhatIf, arguments: dict[str, Any], control: RunControl) -> Iterator[Forecast]:
    return what_if.forecasts(Pipeline.parse(arguments["pipeline"]), Path(arguments["base"]), control)


@lru_cache(maxsize=1)
def _what_if(home: str) -> WhatIf:
    """Kept between jobs: networks and groups of channels that are known already make answers fast."""
    return WhatIf(Home(Path(home)))
