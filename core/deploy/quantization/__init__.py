"""From a float32 ONNX file to smaller numbers: static, dynamic, mixed and half precision.

Every module here that holds a job runs in the tool child. `b` images in a batch, `k` classes, `s`
pixels a side; a *layer* is a convolution or a matrix product with constant weights.
"""
