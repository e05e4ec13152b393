"""``python -m portproof NAME ...``: the same commands as the console script ``portproof``."""

from __future__ import annotations

from portproof.cli import main

if __name__ == "__main__":
    main()
