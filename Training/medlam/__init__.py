"""MedLAM for medlsam-node: the network, its training without labels, and its validation."""
