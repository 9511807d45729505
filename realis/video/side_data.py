"""Side data of frames that is lost in a result, because PyAV passes none to an encoder."""

import av
from av.sidedata.sidedata import SideDataContainer

WITH_PROFILES = ("png", "apng", "mjpeg", "webp", "tiff", "jpegxl")  # PyAV frees a colour profile's name twice
NOT_KEPT = {  # by libavutil's names
    "A53_CC": "closed captions",
    "AFD": "active format description",
    "AMBIENT_VIEWING_ENVIRONMENT": "HDR viewing environment",
    "CONTENT_LIGHT_LEVEL": "HDR light levels",
    "DOVI_METADATA": "Dolby Vision metadata",
    "DOVI_RPU_BUFFER": "Dolby Vision metadata",
    "DYNAMIC_HDR_PLUS": "HDR10+ metadata",
    "DYNAMIC_HDR_VIVID": "HDR Vivid metadata",
    "GOP_TIMECODE": "timecodes beside the pictures",
    "ICC_PROFILE": "colour profile",
    "MASTERING_DISPLAY_METADATA": "HDR mastering data",
    "S12M_TIMECODE": "timecodes beside the pictures",
    "SPHERICAL": "spherical projection",
    "STEREO3D": "stereo 3D layout",
}


def not_kept(frame: av.VideoFrame, codec: str) -> set[str]:
    """Name the side data of a frame, decoded by ``codec``, that a result cannot keep."""
    if codec in WITH_PROFILES:
        return set()
    try:
        # Not by frame.side_data, which the frame keeps and which keeps the frame: hundreds would wait for the collector
        names = {data.type.name for data in list(SideDataContainer(frame))}  # pyright: ignore - PyAV's stub
    except ValueError as error:  # one kind that PyAV does not know hides all the others
        return {f"side data of an unknown kind ({str(error).split()[0]})"}
    return {NOT_KEPT[name] for name in names & NOT_KEPT.keys()}
