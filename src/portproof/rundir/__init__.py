"""The run directory of a port: its layout, its settings, the steps that fill it, and the verdict
over it.
"""
