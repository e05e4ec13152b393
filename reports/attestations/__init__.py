"""Who ran what on which device: files of claims, and the page made of them."""
