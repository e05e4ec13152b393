"""A 16-bit PCM WAV file as numbers of a fixed length, by the standard library's reader."""

from __future__ import annotations

import io
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from portproof.core.errors import InputError
from portproof.core.files import existing_file
from portproof.preprocess.dataset.sequence_files import Source
from portproof.preprocess.encoders import Encoded
from portproof.sequence import Waveform

SUFFIXES = (".wav",)
#: Bytes of a file that is read at once: hours of speech.
_MOST_BYTES = 1_000_000_000
_SAMPLE_BYTES = 2


def encoder(sequence: Waveform, folder: Path) -> Callable[[Source], Encoded]:
    """What makes (length,) float32 values, and the number before the padding, of one file."""

    def encode(source: Source) -> Encoded:
        if source.path is None:
            raise InputError("a WAV file was expected, not a text; give a folder of WAV files")
        values = _read(source.path, sequence)
        cut = len(values) > sequence.length
        if cut and sequence.too_long == "refuse":
            raise InputError(
                f"it has {len(values)} values, {sequence.length} are the model's; shorten it, or"
                " set 'too_long: cut' in the card's 'sequence'"
            )
        kept = values[: sequence.length]
        padded = np.zeros(sequence.length, np.float32)
        padded[: len(kept)] = kept
        return Encoded({"wave": padded, "length": np.array([len(kept)], np.int64)}, cut)

    return encode


def _read(path: Path, sequence: Waveform) -> NDArray[np.float32]:
    """The values of the file's one channel, divided."""
    if existing_file(path, "recording").stat().st_size > _MOST_BYTES:
        raise InputError(f"it is larger than {_MOST_BYTES} bytes; cut it in parts")
    try:
        with wave.open(io.BytesIO(path.read_bytes())) as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            data = file.readframes(file.getnframes())
            whole = file.getnframes() * channels * width
    except (wave.Error, EOFError, RuntimeError, ValueError) as error:
        raise InputError(
            f"it is no PCM WAV file ({str(error) or 'it ends early'}); convert it to 16-bit PCM"
        ) from error
    if width != _SAMPLE_BYTES:
        raise InputError(f"it has {8 * width} bits a value, 16 were expected; convert it")
    if rate != sequence.rate:
        raise InputError(
            f"it has {rate} values a second, {sequence.rate} were expected: resample it with the"
            " program that the model's authors used"
        )
    if len(data) != whole:
        raise InputError(f"it ends after {len(data)} of {whole} bytes; replace it")
    return _one_channel(np.frombuffer(data, "<i2").reshape(-1, channels), sequence)


def _one_channel(values: NDArray[np.int16], sequence: Waveform) -> NDArray[np.float32]:
    channels = values.shape[1]
    if channels > 1 and sequence.channels == "one":
        raise InputError(
            f"it has {channels} channels, one was expected; say 'channels: mean' or 'first' in the"
            " card's 'sequence'"
        )
    scaled = values.astype(np.float32) / np.float32(sequence.divide)
    return scaled.mean(axis=1, dtype=np.float32) if sequence.channels == "mean" else scaled[:, 0]
