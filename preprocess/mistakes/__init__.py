"""The usual mistakes of preprocessing, and which of them explains a folder of samples."""
