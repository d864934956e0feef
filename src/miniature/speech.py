"""Speech by espeak-ng (GPL-3), whose shared library is loaded only here and only while rendering."""

import ctypes
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ClassVar, Self

import numpy as np

RATE = 22_050  # samples per second, fixed by the engine
SYNCHRONOUS = 2  # espeak_AUDIO_OUTPUT: samples go to the callback, calls return when all are there
UTF8 = 1
RATE_PARAMETER, PITCH_PARAMETER = 1, 3
EVENT_LIST_END, EVENT_WORD = 0, 1


@dataclass(frozen=True)
class Voice:
    """How a narrator sounds."""

    name: str  # an espeak-ng voice, for example en-us+f2
    words_per_minute: int
    pitch: int  # 0 to 100


@dataclass(frozen=True)
class Utterance:
    """What was said: samples f32 [N] in [-1, 1] at RATE, and the second at which each word begins."""

    words: tuple[str, ...]
    starts: tuple[float, ...]
    samples: np.ndarray

    @property
    def seconds(self) -> float:
        """How long it takes."""
        return len(self.samples) / RATE


class _Event(ctypes.Structure):
    _fields_: ClassVar = [
        ("type", ctypes.c_int),
        ("identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),  # of the first character, counted from 1
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),  # milliseconds
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    ]


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


class Speaker:
    """A narrator: `with Speaker(voice) as speaker: speaker.say("hello")`.

    What espeak-ng says depends on everything that it has said before. So each speaker has the library to
    itself, freshly loaded: the same sequence of sentences always gives the same samples. One speaker at
    a time in a process.
    """

    def __init__(self, voice: Voice):
        self._voice = voice
        self._chunks: list[np.ndarray] = []
        self._events: list[tuple[int, float]] = []
        self._callback = _Callback(self._receive)

    def __enter__(self) -> Self:
        import espeakng_loader

        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        data = espeakng_loader.get_data_path().encode()
        rate = self._library.espeak_Initialize(SYNCHRONOUS, 0, data, 0)
        assert rate == RATE, f"espeak-ng answered {rate} instead of {RATE} samples per second"
        self._library.espeak_SetSynthCallback(self._callback)
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(1))
        found = self._library.espeak_SetVoiceByName(self._voice.name.encode())
        assert found == 0, f"espeak-ng has no voice {self._voice.name}"
        self._library.espeak_SetParameter(RATE_PARAMETER, self._voice.words_per_minute, 0)
        self._library.espeak_SetParameter(PITCH_PARAMETER, self._voice.pitch, 0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._library.espeak_Terminate()
        handle = ctypes.c_void_p(self._library._handle)
        del self._library
        ctypes.CDLL(None).dlclose(handle)

    def say(self, text: str) -> Utterance:
        """Speak plain words, separated by single spaces."""
        self._chunks.clear()
        self._events.clear()
        encoded = text.encode() + b"\0"
        failed = self._library.espeak_Synth(encoded, len(encoded), 0, 1, 0, UTF8, None, None)
        assert not failed, f"espeak-ng cannot say {text!r}"
        samples = np.concatenate([np.zeros(0, np.int16), *self._chunks]).astype(np.float32) / 32768
        words = tuple(text.split(" "))
        return Utterance(words, self._starts(words, len(samples) / RATE), samples)

    def _starts(self, words: tuple[str, ...], seconds: float) -> tuple[float, ...]:
        # The engine merges some words ("in the"): a word without an event begins between its neighbours'.
        positions = np.cumsum([0, *(len(word) + 1 for word in words)])
        known = dict(self._events)
        at = sorted(position for position in known if position < positions[-1])
        times = np.interp(positions[:-1], [*at, positions[-1]], [*(known[p] for p in at), seconds])
        return tuple(float(time) for time in np.maximum.accumulate(times))

    def _receive(self, samples: Any, count: int, events: Any) -> int:
        if samples and count:
            self._chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        for event in events:
            if event.type == EVENT_LIST_END:
                break
            if event.type == EVENT_WORD:
                self._events.append((event.text_position - 1, event.audio_position / 1000))
        return 0
