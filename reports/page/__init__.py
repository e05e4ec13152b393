"""The page of a report: its charts, its flips, and the page itself."""
