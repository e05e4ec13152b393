"""What ModelZoo's contribution rules ask for beside a README: the level file and a self-test."""
