"""Losses on a teacher's answers beyond Hinton's: decoupled, correlated, and on standardised logits.

Sources: DKD, Zhao et al. 2022, arXiv 2203.08679, equation 7; DIST, Huang et al. 2022, arXiv 2205.10536, equations 8 and 9; logit
standardisation, Sun et al. 2024, arXiv 2403.01643, equation 11. Losses compute in float32.

Shapes: `b` batch, `k` classes; logits [b, k]; labels [b], or shares of the classes [b, k], of which the largest counts.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

_NEVER = -1e4  # a logit that no softmax sees


def standardised(logits: Tensor) -> Tensor:
    """Each image's logits with mean 0 and variance 1, so that a student need not copy how large a teacher's are."""
    logits = logits.float()
    spread = logits.std(1, keepdim=True, unbiased=False)
    return (logits - logits.mean(1, keepdim=True)) / (spread + 1e-7)


def mean_answers(answers: Sequence[Tensor], weights: Sequence[float], temperature: float) -> Tensor:
    """Logits whose softened chances are the weighted mean of the teachers', each softened by itself.

    Several teachers: You et al. 2017, doi 10.1145/3097983.3098135; Hinton et al. 2015, arXiv 1503.02531, for ensembles.

    Args: weights: above 0; of each teacher, relative to the others.
    """
    if len(answers) == 1:
        return answers[0]
    shares = torch.tensor(weights, device=answers[0].device) / sum(weights)
    logs = torch.stack([functional.log_softmax(logits.float() / temperature, 1) for logits in answers])
    return temperature * torch.logsumexp(logs + shares.log()[:, None, None], 0)


def decoupled_loss(
    student: Tensor, teacher: Tensor, labels: Tensor, temperature: float, others: float
) -> Tensor:
    """T² times the divergence between target and the rest, plus `others` times that among the other classes."""
    target = labels.argmax(1) if labels.ndim == 2 else labels
    hit = functional.one_hot(target, student.shape[1]).bool()
    softened = [logits.float() / temperature for logits in (student, teacher)]
    binary, rest = [], []
    for logits in softened:
        chances = logits.softmax(1)
        binary.append(torch.stack([chances[hit], (chances * ~hit).sum(1)], 1).clamp(min=1e-12).log())
        rest.append(logits.masked_fill(hit, _NEVER).log_softmax(1))
    divergences = [
        functional.kl_div(ours, theirs, reduction="batchmean", log_target=True)
        for ours, theirs in (binary, rest)
    ]
    return (divergences[0] + others * divergences[1]) * temperature**2


def correlation_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T² times what the chances lack in correlation: over the classes of each image, and over the images of each class."""
    ours, theirs = ((logits.float() / temperature).softmax(1) for logits in (student, teacher))
    between = 1 - _correlation(ours, theirs).mean()
    within = 1 - _correlation(ours.T, theirs.T).mean()
    return (between + within) * temperature**2


def _correlation(first: Tensor, second: Tensor) -> Tensor:
    """Pearson's, row by row."""
    first, second = (rows - rows.mean(1, keepdim=True) for rows in (first, second))
    return functional.cosine_similarity(first, second, dim=1, eps=1e-8)
