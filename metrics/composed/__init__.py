"""From the answers of some models of a port to the samples of the next, and to the outputs."""
