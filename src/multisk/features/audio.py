"""How sound becomes log-mel frames (paper: inputs): 40 bands, 25 ms windows every 10 ms, at 16 kHz."""

SAMPLE_RATE = 16_000
WINDOW = 400  # samples
HOP = 160  # samples
BANDS = 40
FRAMES_PER_SECOND = SAMPLE_RATE / HOP
