"""From a PyTorch model to an ONNX file that computes the same."""
