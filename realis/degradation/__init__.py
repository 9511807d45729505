"""The second-order degradation: its ranges, what is drawn from them, what that does to a clip."""
