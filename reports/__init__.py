"""Tables, documents and audits: what a reader sees, and how it is proved."""
