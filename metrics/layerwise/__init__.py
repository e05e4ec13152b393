"""Two ONNX files compared layer by layer."""
