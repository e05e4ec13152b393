"""From predictions and ground truth to the figures of a task."""
