"""Facts about this host: the vendor software and its versions, and the devices."""
