"""Facts about ONNX graphs that deploying and profiling share."""
