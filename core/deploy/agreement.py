"""Does a file answer like the network it was made from? Rules on logits; NumPy only.

`n` images, `k` classes. Rules:

- Any logit that is not a number or infinite: not good.
- float32: good when no logit differs by the limit or more (0.001, or 0.00001 of the largest logit
  where that is more: float32 rounds relative to size) and every image whose class changed is
  explained. A network may round far worse than that, where layers amplify (batch norms with small variances do):
  then the limit is ten times what its own logits in float32 differ from those in float64.
- half precision: good when at least 99 % of the images keep their class, or no logit differs by
  more than 1 % of the largest logit (a network whose logits lie close together may change
  classes by rounding alone). In a rehearsal 10 %: a network that was trained for a step or two answers hardly two
  images differently, and its batch norms do not fit its weights yet, so that it rounds far worse than a trained one.
- Any other precision (quantized on purpose): good when every logit is finite. What quantization
  costs is no fault of the file but a result: agreement and accuracy say it.

An image whose class changed is *explained* when the network's own margin between its two best
classes is below twice the largest difference: rounding of that size can change its class.
"""

import numpy as np

from core.records.reports import Verification

LIMIT = 1e-3
_LIMIT_FITS_LOGITS_TO = 100.0
_ROUNDINGS = 10.0
_ROUNDS = "The network itself rounds that much: its logits in float32 differ from those in float64 by up to {rounding:.2g}."
HALF_AGREEMENT = 99.0
HALF_RELATIVE_LIMIT = 0.01
HALF_REHEARSED_LIMIT = 0.1


def compare_logits(
    reference: np.ndarray,
    candidate: np.ndarray,
    limit: float = LIMIT,
    precision: str = "float32",
    rehearsal: bool = False,
    rounding: float = 0.0,
) -> Verification:
    """Compare a file's logits with the network's, both [n, k], image by image.

    Args:
        limit: of the largest difference for float32; half precision has its own.
        precision: "float32", "float16", "given" (a person's own file, against itself), or another
            name for a file that is quantized.
        rehearsal: the network is hardly trained.
        rounding: the largest difference between the network's logits in float32 and in float64; 0 where nobody looked.

    Raises:
        ValueError: when the shapes differ or there is nothing to compare.
    """
    if reference.shape != candidate.shape or reference.ndim != 2 or not reference.size:
        raise ValueError(f"Expected equal shapes [n, k], received {reference.shape} and {candidate.shape}.")
    reference, candidate = reference.astype(np.float64), candidate.astype(np.float64)
    same = reference.argmax(1) == candidate.argmax(1)
    agreement = 100.0 * float(same.mean())
    broken = int((~np.isfinite(reference) | ~np.isfinite(candidate)).any(axis=1).sum())
    with np.errstate(invalid="ignore"):
        differences = np.abs(reference - candidate)
    largest = float(np.max(differences, initial=0.0, where=np.isfinite(differences)))
    if broken:
        sentence = f"Not usable: on {_images(broken)} of {len(same)} a logit is not a finite number."
        return _verdict(same, agreement, 0.0, largest, limit, False, sentence)
    scale = float(np.abs(reference).max())
    explained = _explained_agreement(reference, same, largest)
    if precision == "float16":
        relative = HALF_REHEARSED_LIMIT if rehearsal else HALF_RELATIVE_LIMIT
        limit = relative * scale
        good = agreement >= HALF_AGREEMENT or largest <= limit
        sentence = _half_sentence(good, agreement, largest, (limit, relative), len(same))
    elif precision not in ("float32", "given"):
        sentence = (
            f"Quantized: {agreement:.2f} % of {_images(len(same))} keep the class that the float network "
            f"gives, largest logit difference {largest:.2g}."
        )
        return _verdict(same, agreement, explained, largest, None, True, sentence)
    else:
        limit *= max(1.0, scale / _LIMIT_FITS_LOGITS_TO)
        rounds = largest >= limit and _ROUNDINGS * rounding > limit
        limit = _ROUNDINGS * rounding if rounds else limit
        good = largest < limit and explained == 100.0
        sentence = _float_sentence(good, same, explained, largest, limit)
        if rounds:
            sentence += f" {_ROUNDS.format(rounding=rounding)}"
    verdict = _verdict(same, agreement, explained, largest, limit, good, sentence)
    return verdict.model_copy(update={"rounding": rounding})


def may_be_rounding(verdict: Verification) -> bool:
    """Whether a float32 file that is not good may be so by the network's own rounding: it is worth computing it in float64."""
    return not verdict.good and verdict.explained_agreement == 100.0


def _explained_agreement(reference: np.ndarray, same: np.ndarray, largest: float) -> float:
    """Percent agreement [n] among the images that rounding by `largest` cannot move."""
    if reference.shape[1] < 2:
        return 100.0
    best = np.partition(reference, -2, axis=1)[:, -2:]
    counted = (best[:, 1] - best[:, 0]) > 2 * largest * (1 + 1e-9)
    return 100.0 * float(same[counted].mean()) if counted.any() else 100.0


def _float_sentence(good: bool, same: np.ndarray, explained: float, largest: float, limit: float) -> str:
    changed = int((~same).sum())
    where = f"on {_images(len(same))}, largest logit difference {largest:.2g} (limit {limit:.2g})"
    if not good and largest >= limit:
        return f"Differs too much from the PyTorch model: {_images(changed)} changed class {where}."
    if not good:
        return f"{_images(changed)} changed class {where}; only {explained:.2f} % of the clear cases agree."
    if not changed:
        return f"Same class as the PyTorch model {where}."
    return f"{_images(changed)} changed class, each a near tie within rounding, {where}."


def _half_sentence(
    good: bool, agreement: float, largest: float, limits: tuple[float, float], images: int
) -> str:
    rule = (
        f"the half precision rule asks for {HALF_AGREEMENT:g} % or differences up to {limits[0]:.2g}, "
        f"{100 * limits[1]:g} % of the largest logit"
    )
    facts = f"{agreement:.2f} % of {_images(images)} keep their class, largest logit difference {largest:.2g}"
    return f"{'Agrees' if good else 'Differs too much'}: {facts}; {rule}."


def _verdict(
    same: np.ndarray,
    agreement: float,
    explained: float,
    largest: float,
    limit: float | None,
    good: bool,
    sentence: str,
) -> Verification:
    return Verification(
        images=len(same),
        agreement=agreement,
        explained_agreement=explained,
        max_logit_difference=largest,
        limit=limit,
        good=good,
        sentence=sentence,
    )


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"
