"""What follows from a document: whose log it is, and what is given for a device and batch."""
