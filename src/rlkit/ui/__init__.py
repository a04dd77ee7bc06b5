"""`rlkit ui`: a page over runs on this machine, which reads and never writes."""
