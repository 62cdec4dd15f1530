"""What each stage would leave, before anything runs: parameters, MACs, the file's size, the latency.

Structured pruning is planned by the function that the run uses (`core.surgery.budget.plan`), on a
network without weights (meta tensors), so the counts are those of the run wherever they follow from
the settings alone. Where they depend on weights that are not trained yet, the forecast is marked "about"
(channels ranked across layers, budgets) or is left out with the reason (which blocks, which ranks).

Networks, groups of channels and forecasts are cached by their inputs: moving a slider needs a new plan
only, which takes milliseconds.

Bytes are of the headline file: four a parameter (norms folded into the convolutions before them),
fewer where a stage stores them shorter, and what a graph takes besides. The latency is a prediction from
times of layers that were measured on this machine, with its usual error (`core.profiling.latency_table`);
of files that compute otherwise than in float32 only the run can tell.
"""

from core.models.forecast import Forecast, Sure
from core.whatif.document_forecasts import WhatIf
from core.whatif.latency import Unmeasured, measure

__all__ = ["Forecast", "Sure", "Unmeasured", "WhatIf", "measure"]
