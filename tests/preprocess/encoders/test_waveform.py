"""Waveforms equal scipy's reading of the same files."""

from __future__ import annotations

import io
import wave

import numpy as np
import pytest

from portproof.core.errors import InputError
from portproof.preprocess.dataset.sequence_files import Source
from portproof.preprocess.encoders.waveform import encoder
from portproof.sequence import Waveform


def written(path, values, rate=8000, width=2):
    channels = 1 if values.ndim == 1 else values.shape[1]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(values.tobytes())
    return path


def noise(length, channels=1):
    values = np.random.default_rng(length).integers(-32768, 32768, (length, channels))
    return values.astype("<i2")[:, 0] if channels == 1 else values.astype("<i2")


def encoded(path, **options):
    sequence = Waveform(**({"rate": 8000, "length": 100, "parts": ("wave", "length")} | options))
    return encoder(sequence, path.parent)(Source("a", path=path))


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("length", [1, 64, 100])
def test_values_are_scipys_divided_and_padded(tmp_path, channels, length) -> None:
    wavfile = pytest.importorskip("scipy.io.wavfile")
    path = written(tmp_path / "a.wav", noise(length, channels))
    rate, values = wavfile.read(path)
    assert rate == 8000
    wanted = np.zeros(100, np.float32)
    one = values if channels == 1 else values[:, 0]
    wanted[:length] = one.astype(np.float32) / np.float32(32768)
    found = encoded(path, channels="one" if channels == 1 else "first").arrays
    np.testing.assert_array_equal(found["wave"], wanted)
    assert found["length"].tolist() == [length]


def test_the_mean_of_channels(tmp_path) -> None:
    values = noise(50, 2)
    found = encoded(written(tmp_path / "a.wav", values), channels="mean").arrays["wave"][:50]
    np.testing.assert_allclose(found, values.astype(np.float64).mean(1) / 32768, atol=1e-7)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"rate": 16000}, "16000 values a second, 8000 were expected"),
        ({"values": noise(101)}, "101 values, 100 are the model's"),
        ({"values": noise(50, 2)}, "2 channels, one was expected"),
        ({"width": 1}, "8 bits a value"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, change, reason) -> None:
    path = written(tmp_path / "a.wav", **({"values": noise(50)} | change))
    with pytest.raises(InputError, match=reason):
        encoded(path)


def test_a_longer_file_is_cut_when_asked(tmp_path) -> None:
    assert encoded(written(tmp_path / "a.wav", noise(150)), too_long="cut").cut


def whole() -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(noise(50).tobytes())
    return file.getvalue()


@pytest.mark.parametrize("keep", [0, 3, 20, 43, 60, 100])
def test_a_damaged_file_has_its_sentence(tmp_path, keep) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(whole()[:keep])
    with pytest.raises(InputError):
        encoded(path)


@pytest.mark.parametrize("at", range(0, 44, 3))
def test_a_changed_header_is_read_or_refused(tmp_path, at) -> None:
    data = bytearray(whole())
    data[at] ^= 0xFF
    path = tmp_path / "a.wav"
    path.write_bytes(bytes(data))
    try:
        encoded(path)
    except InputError:
        pass
