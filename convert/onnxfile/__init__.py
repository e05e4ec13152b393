"""ONNX files: read without their weights, checked, written; what a converted file inherits."""
