"""Pulses of quality with the period of a latent frame."""

import numpy as np
import pytest

from realis.metrics.pulse import pulse


def test_a_pulse_is_told_from_other_periods():
    t = np.arange(25)
    at_four, elsewhere = pulse(0.02 * t + 0.3 * np.cos(2 * np.pi * t / 4))
    assert at_four == pytest.approx(0.3, rel=0.02) and elsewhere < 0.01
    at_four, _ = pulse(0.3 * np.cos(2 * np.pi * t / 6))
    assert at_four < 0.03


def test_the_first_frame_and_the_rest_of_a_period_do_not_count():
    t = np.arange(25)
    wave = np.cos(2 * np.pi * t / 4)
    longer = np.concatenate([wave, [7.0, -9.0]])
    longer[0] = 50
    assert pulse(longer) == pulse(wave)


def test_of_noise_no_period_stands_out():
    at_four, elsewhere = pulse(np.random.default_rng(0).normal(size=401))
    assert at_four < 3 * elsewhere


def test_fewer_frames_than_a_period_have_no_pulse():
    pulse(np.ones(5))
    with pytest.raises(ValueError, match="got 4 frames, wanted at least 5 to find a pulse of 4"):
        pulse(np.ones(4))
