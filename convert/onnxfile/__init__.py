"""ONNX files: read without their weights, checked, written, and what a converted file takes
over.
"""
