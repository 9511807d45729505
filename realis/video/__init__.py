"""Video and image files: find, survey, decode, encode and join them, and resume a result that is half done.

Nothing here imports torch, but for the journal once there are tensors to keep.
"""
