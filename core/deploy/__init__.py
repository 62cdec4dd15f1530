"""Files that can be deployed: ONNX export, half precision, and the proof that they agree."""
