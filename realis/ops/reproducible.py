"""Options of muxers and encoders with which the same frames become the same bytes every time, on any machine."""

BITEXACT = {"fflags": "+bitexact"}  # of a container: no random identifiers, no version of the muxer
X264 = "cpu-independent=1"  # else the same frames can give another result (libx264's macroblock tree)
# with B-frames x265 encodes the same frames now this way and now that, and now and then to what cannot be muxed
X265 = "bframes=0:log-level=error"
