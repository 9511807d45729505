"""Options of muxers and encoders that make their output reproducible to the byte, on any machine."""

BITEXACT = {"fflags": "+bitexact"}  # of a container: no random identifiers, no version of the muxer
X264 = "cpu-independent=1"  # else libx264's macroblock tree can differ between processors
# With B-frames, x265 is not deterministic, and sometimes gives packets that cannot be muxed
X265 = "bframes=0:log-level=error"
