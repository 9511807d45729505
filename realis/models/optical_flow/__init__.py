"""Optical flow: SpyNet, RAFT, Farneback behind one protocol; what a flow means is said in :mod:`realis.ops.warp`."""
