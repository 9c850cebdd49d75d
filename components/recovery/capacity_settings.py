"""How much there is to keep and how fast it grows: what volumes and backup targets are measured against."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from components.fields.base import Section, WholeNumber
from components.model.values import Bytes


class Capacity(Section):
    """Photos and videos that are expected, by number or in all; the output `capacity` says which volumes are small."""

    photos: WholeNumber | None = Field(default=None, ge=0, le=1_000_000_000)
    """Number of photos."""
    videos: WholeNumber | None = Field(default=None, ge=0, le=1_000_000_000)
    """Number of videos."""
    total: Bytes | None = None
    """Size of all originals, instead of the two numbers: `1.5T`."""
    photo_size: Bytes = Bytes("4M")
    """Size of a photo on average: a JPEG of 12 megapixels has about 4 MB, HEIC half of that, raw files 25 to 50 MB."""
    video_size: Bytes = Bytes("100M")
    """Size of a video on average: a minute of a phone's 1080p has about 100 MB, of 4K about 400 MB."""
    video_share: WholeNumber = Field(default=50, ge=0, le=100)
    """Percent of `total` that are videos."""
    growth: WholeNumber = Field(default=20, ge=0, le=1000)
    """Percent by which all of it grows in a year."""
    years: WholeNumber = Field(default=3, ge=0, le=20)
    """How many years the volumes and targets shall last."""
    thumbs: WholeNumber = Field(default=15, ge=1, le=100)
    """Thumbnails and previews, percent of the originals; 10 to 15 are usual."""
    encoded_video: WholeNumber = Field(default=40, ge=0, le=200)
    """Transcoded videos, percent of the videos: 720p, as Immich makes it, is far smaller than 4K."""

    @model_validator(mode="after")
    def _something_is_expected(self) -> Self:
        counted = self.photos is not None or self.videos is not None
        if counted and self.total is not None:
            raise ValueError("give total, or photos and videos: together they would contradict each other")
        if not counted and self.total is None:
            raise ValueError("give photos and videos, or total")
        return self

    @property
    def original_bytes(self) -> int:
        """Size of all originals."""
        if self.total is not None:
            return int(self.total.amount)
        photos, videos = self.photos or 0, self.videos or 0
        return photos * int(self.photo_size.amount) + videos * int(self.video_size.amount)

    @property
    def video_bytes(self) -> int:
        """Size of the videos among them."""
        if self.total is not None:
            return int(self.total.amount) * self.video_share // 100
        return (self.videos or 0) * int(self.video_size.amount)

    @property
    def assets(self) -> int:
        """Number of photos and videos. Of `total` as if all were photos, so that no database is measured too small."""
        if self.total is not None:
            return -(-int(self.total.amount) // int(self.photo_size.amount))
        return (self.photos or 0) + (self.videos or 0)


def expected(capacity: Capacity | None, expected_photos: Bytes | None) -> Capacity | None:
    """What a stack expects: its section, or `storage.expectedPhotos` with every other number by default."""
    if capacity is not None or expected_photos is None:
        return capacity
    return Capacity(total=expected_photos)
