"""The second-order degradation: ranges of its parameters, draws from them, and their application to a clip."""
