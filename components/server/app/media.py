"""Immich's own configuration: transcoding of videos and generated images."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from components.fields.base import Section
from components.fields.grammar import each_once
from components.server.app.values import (
    AtLeastOne,
    AtLeastZero,
    BitRate,
    Flag,
    HardwareDevice,
    MaxBitRate,
    Quality,
    TargetResolution,
    VideoHeight,
    some,
)

VideoCodec = Literal["h264", "hevc", "vp9", "av1"]
AudioCodec = Literal["mp3", "aac", "opus", "pcm_s16le"]
VideoContainer = Literal["mov", "mp4", "ogg", "webm"]
VideoResolution = Literal[480, 720, 1080, 1440, 2160]
ImageFormat = Literal["jpeg", "webp"]


class RealtimeTranscoding(Section):
    """Transcoding while a video is watched (HLS, alpha).

    Newer than Immich 2.5, which ignores it with a warning.
    """

    enabled: Flag = False
    """Whether videos are transcoded while they are watched."""
    video_codecs: Annotated[tuple[VideoCodec, ...], AfterValidator(each_once), AfterValidator(some)] = (
        "h264",
        "hevc",
    )
    """Codecs offered to the player: h264, hevc, vp9, av1; at least one."""
    resolutions: Annotated[tuple[VideoResolution, ...], AfterValidator(each_once), AfterValidator(some)] = (
        480,
        720,
        1080,
    )
    """Resolutions offered to the player, in pixels: 480, 720, 1080, 1440, 2160; at least one."""


class AppFfmpeg(Section):
    """Transcoding of videos after upload."""

    crf: Annotated[int, Field(strict=True, ge=0, le=51)] = 23
    """Constant rate factor, 0 (best, largest) to 51 (worst, smallest)."""
    threads: AtLeastZero = 0
    """Threads of one transcoding; 0 lets ffmpeg choose, which means every core of the node."""
    preset: Literal[
        "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"
    ] = "ultrafast"
    """Encoder preset: the slower, the smaller the file."""
    target_video_codec: VideoCodec = "h264"
    """Codec that videos are transcoded to: h264, hevc, vp9 or av1."""
    accepted_video_codecs: Annotated[tuple[VideoCodec, ...], AfterValidator(each_once)] = ("h264",)
    """Codecs that are left as they are: h264, hevc, vp9, av1."""
    target_audio_codec: AudioCodec = "aac"
    """Codec that sound is transcoded to: mp3, aac, opus or pcm_s16le."""
    accepted_audio_codecs: Annotated[tuple[AudioCodec, ...], AfterValidator(each_once)] = (
        "aac",
        "mp3",
        "opus",
    )
    """Sound codecs that are left as they are: mp3, aac, opus, pcm_s16le."""
    accepted_containers: Annotated[tuple[VideoContainer, ...], AfterValidator(each_once)] = (
        "mov",
        "ogg",
        "webm",
    )
    """Containers besides mp4 that are left as they are: mov, mp4, ogg, webm."""
    target_resolution: TargetResolution = VideoHeight("720")
    """Height that larger videos are reduced to, in pixels, or `original`."""
    max_bitrate: MaxBitRate = BitRate("0")
    """Upper limit of the bit rate in kbit/s (`4500`, `4500k`) or Mbit/s (`5M`); `0` for none."""
    bframes: Annotated[int, Field(strict=True, ge=-1, le=16)] = -1
    """B-frames, 0 to 16; -1 lets the encoder choose."""
    refs: Annotated[int, Field(strict=True, ge=0, le=6)] = 0
    """Reference frames, 1 to 6; 0 lets the encoder choose."""
    gop_size: AtLeastZero = 0
    """Frames between two key frames; 0 lets the encoder choose."""
    temporal_aq: Flag = Field(default=False, alias="temporalAQ")
    """Temporal adaptive quantization, for nvenc only."""
    cq_mode: Literal["auto", "cqp", "icq"] = "auto"
    """Quality mode of the hardware encoder; some Intel processors (Jasper Lake, Elkhart Lake) need cqp."""
    two_pass: Flag = False
    """Encode twice for a better bit rate; of the hardware encoders only nvenc can."""
    preferred_hw_device: HardwareDevice = HardwareDevice("auto")
    """Device in /dev/dri that transcodes, such as renderD128, or `auto`."""
    transcode: Literal["all", "optimal", "bitrate", "required", "disabled"] = "required"
    """Which videos are transcoded: all, optimal (too large too), bitrate, required or disabled."""
    accel: Literal["nvenc", "qsv", "vaapi", "rkmpp", "disabled"] = "disabled"
    """Hardware that encodes: nvenc (NVIDIA), qsv (Intel), vaapi (AMD, Intel), rkmpp (Rockchip), disabled."""
    accel_decode: Flag = True
    """Whether the hardware decodes as well."""
    tonemap: Literal["hable", "mobius", "reinhard", "disabled"] = "hable"
    """How HDR becomes SDR: hable, mobius, reinhard or disabled."""
    realtime: RealtimeTranscoding = Field(default_factory=RealtimeTranscoding)
    """Transcoding while a video is watched."""


class Thumbnail(Section):
    """The copy shown in the timeline."""

    format: ImageFormat = "webp"
    """File format, jpeg or webp."""
    size: AtLeastOne = 250
    """Pixels of the shorter side."""
    quality: Quality = 80
    """Quality in percent, 1 to 100."""
    progressive: Flag = False
    """Whether a jpeg appears coarse first and then fine."""


class Preview(Section):
    """The copy shown when a photo is opened, and the one that machine learning sees."""

    format: ImageFormat = "jpeg"
    """File format, jpeg or webp."""
    size: AtLeastOne = 1440
    """Pixels of the shorter side."""
    quality: Quality = 80
    """Quality in percent, 1 to 100."""
    progressive: Flag = False
    """Whether a jpeg appears coarse first and then fine."""


class Fullsize(Section):
    """A copy in full size of photos that browsers cannot show."""

    enabled: Flag = False
    """Whether such copies are made."""
    format: ImageFormat = "jpeg"
    """File format, jpeg or webp."""
    quality: Quality = 80
    """Quality in percent, 1 to 100."""
    progressive: Flag = False
    """Whether a jpeg appears coarse first and then fine."""


class AppImage(Section):
    """Generated images."""

    thumbnail: Thumbnail = Field(default_factory=Thumbnail)
    """The copy shown in the timeline."""
    preview: Preview = Field(default_factory=Preview)
    """The copy shown when a photo is opened."""
    fullsize: Fullsize = Field(default_factory=Fullsize)
    """The copy in full size of photos that browsers cannot show."""
    colorspace: Literal["srgb", "p3"] = "p3"
    """Colour space of generated images: p3 (wide) or srgb."""
    extract_embedded: Flag = False
    """Whether the preview inside a raw file is taken instead of developing the file."""
