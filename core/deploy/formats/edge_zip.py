"""One archive for a device: the ONNX file, its card, test images with labels, and a script that runs it."""

from core.deploy.formats.onnx_file import OnnxFile


class EdgeZip(OnnxFile):
    id = "zip"
    title = "ZIP for a device"
    help = "ONNX file, model card, test images and a script that classifies and measures on the device."
    suffix = ".zip"
    bundle = True
