"""Detections matched with objects, and what precision and recall come to."""
