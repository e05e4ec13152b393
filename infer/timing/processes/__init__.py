"""The worker processes of a bench: the parent's end and the child's."""
