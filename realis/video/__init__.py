"""Files in and out: probing, decoding, encoding, joining, and what of a result is already there. No torch."""
