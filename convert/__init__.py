"""Convert a trained PyTorch model: ``.pth`` to ONNX, and ONNX to what a device runs."""
