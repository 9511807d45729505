"""Temporal profiles: which row, which columns, and the sheet."""

import numpy as np
import pytest

from realis.pictures.profile import LEAST_HEIGHT, busiest_row, profile_sheet
from realis.pictures.sheet import LABEL, MARGIN


def moving(frames=5, size=(12, 20)):
    """A bright pixel that goes one to the right every frame, in row 7."""
    video = np.zeros((frames, *size, 3), np.uint8)
    video[np.arange(frames), 7, np.arange(frames)] = 255
    return video


def test_the_row_that_changes_most_is_found_in_one_pass():
    assert busiest_row(frame for frame in moving()) == 7
    falling = moving()[::-1]  # where unsigned bytes would wrap
    falling[:, 3, :8] = (np.arange(5) % 2 * 20)[:, None, None]
    assert busiest_row(falling) == 7
    assert busiest_row(np.ones((3, 12, 20, 3), np.uint8)) == busiest_row(moving(1)) == 6  # at rest


def test_profiles_stand_one_under_the_other_enlarged_by_whole_factors():
    truth = moving()[:, 7]
    sheet = np.asarray(profile_sheet([("truth", truth), ("inverse", 255 - truth)], 640))
    height = -(-LEAST_HEIGHT // 5) * 5
    assert sheet.shape[:2] == (2 * (height + LABEL + MARGIN) + MARGIN, 640 + 2 * MARGIN)
    top = MARGIN + LABEL
    for place, image in ((top, truth), (top + height + MARGIN + LABEL, 255 - truth)):
        drawn = sheet[place : place + height, MARGIN : MARGIN + 640]
        np.testing.assert_array_equal(drawn, image.repeat(height // 5, axis=0).repeat(640 // 20, axis=1))


@pytest.mark.parametrize("width", [12, 33])  # narrower than the video, and not a multiple of it
def test_of_wide_profiles_the_columns_that_move_most_are_shown(width):
    truth = moving(9)[:, 7]  # moves in columns 0 to 8
    for turned in (truth, truth[:, ::-1]):
        sheet = np.asarray(profile_sheet([("truth", turned), ("other", 255 - turned)], width))
        zoom = -(-width // 20)
        drawn = sheet[MARGIN + LABEL :][: LEAST_HEIGHT + 6, MARGIN:-MARGIN][::14, ::zoom]
        assert drawn.shape[1] == width // zoom and (drawn.max(axis=(1, 2)) == 255).all()
        inverse = sheet[-MARGIN - LEAST_HEIGHT - 6 : -MARGIN, MARGIN:-MARGIN][::14, ::zoom]
        np.testing.assert_array_equal(inverse, 255 - drawn)


def test_a_video_at_rest_is_shown_from_the_middle():
    rest = np.broadcast_to(np.arange(20, dtype=np.uint8)[None, :, None], (5, 20, 3))
    drawn = np.asarray(profile_sheet([("truth", rest)], 12))[MARGIN + LABEL, MARGIN:-MARGIN, 0]
    assert list(drawn) == list(range(4, 16))
