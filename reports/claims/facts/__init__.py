"""What follows from what a document shows: whose log it is, what is given for a device and batch."""
