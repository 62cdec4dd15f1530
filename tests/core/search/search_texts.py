"""A pipeline that searches."""

TEXT = """
espalier: 1
name: Small
data: {source: fashion-mnist-sample, image_size: 16}
sources: [{id: net, settings: {backbone: resnet20}}]
stages:
  - {id: fp32, kind: train}
  - {id: mixed, kind: train-mixed}
  - {id: pruned, kind: prune-channels, settings: {ratio: 0.5}}
search:
  free:
    stages.pruned.ratio: {low: 0.2, high: 0.8, step: 0.1}
    stages.mixed.enabled: {}
    stages.mixed.training.epochs: {low: 1, high: 3}
  limits: {size_mb: 0.9}
  SAMPLER
"""
