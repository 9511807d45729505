"""Files in and out: probing, decoding, encoding, joining, and what of a result is already there. Imports no torch before there are tensors to keep."""
