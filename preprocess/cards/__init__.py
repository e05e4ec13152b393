"""The model card of what a user gives as CARD."""
