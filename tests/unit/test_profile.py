"""Temporal profiles: which row, what is kept of the frames, and the sheet."""

import numpy as np

from realis.pictures.profile import LEAST_HEIGHT, LEAST_WIDTH, TemporalProfile, busiest_row, profile_sheet
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


def test_a_profile_has_a_row_of_every_frame_and_holds_no_frame():
    video, profile = moving(), TemporalProfile(7)
    for frame in video:
        reused = frame.copy()
        profile.add(reused)
        reused[:] = 99
    image = profile.image()
    np.testing.assert_array_equal(image, video[:, 7])
    assert (image[..., 0].argmax(axis=1) == np.arange(5)).all()  # steady motion is a slanted line


def test_profiles_stand_one_under_the_other_enlarged_by_whole_factors():
    truth = moving()[:, 7]
    sheet = np.asarray(profile_sheet({"truth": truth, "inverse": 255 - truth}))
    zoom = LEAST_WIDTH // 20
    height = -(-LEAST_HEIGHT // (5 * zoom)) * 5 * zoom
    assert sheet.shape[:2] == (2 * (height + LABEL + MARGIN) + MARGIN, LEAST_WIDTH + 2 * MARGIN)
    top = MARGIN + LABEL
    for place, image in ((top, truth), (top + height + MARGIN + LABEL, 255 - truth)):
        drawn = sheet[place : place + height, MARGIN : MARGIN + LEAST_WIDTH]
        np.testing.assert_array_equal(drawn, image.repeat(height // 5, axis=0).repeat(zoom, axis=1))
