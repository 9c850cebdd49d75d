"""Immich's own configuration: machine learning."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from components.fields.base import Section
from components.fields.grammar import each_once
from components.fields.urls import BaseUrl
from components.server.app.values import AtLeastOne, Flag, Milliseconds, ModelName, Score, some


class AvailabilityChecks(Section):
    """How the server finds out which machine-learning address answers."""

    enabled: Flag = True
    """Whether it asks at all."""
    timeout: Milliseconds = 2000
    """How long it waits for an answer, in milliseconds."""
    interval: Milliseconds = 30_000
    """How often it asks, in milliseconds."""


class Clip(Section):
    """Search by content."""

    enabled: Flag = True
    """Whether photos are made searchable by content."""
    model_name: ModelName = "ViT-B-32__openai"
    """The CLIP model. After a change every photo must be processed again."""


class DuplicateDetection(Section):
    """Finding of near duplicates; uses the data of search by content."""

    enabled: Flag = True
    """Whether near duplicates are looked for."""
    max_distance: Annotated[float, Field(strict=True, ge=0.001, le=0.1, allow_inf_nan=False)] = 0.01
    """How different two photos may be to count as duplicates, 0.001 to 0.1."""


class FacialRecognition(Section):
    """Finding of faces and of the people they belong to."""

    enabled: Flag = True
    """Whether faces are looked for."""
    model_name: Literal["antelopev2", "buffalo_s", "buffalo_m", "buffalo_l"] = "buffalo_l"
    """The face model: antelopev2, buffalo_s, buffalo_m or buffalo_l.

    After a change all faces must be found again.
    """
    min_score: Score = 0.7
    """How sure a find must be, 0.1 to 1."""
    max_distance: Annotated[float, Field(strict=True, ge=0.1, le=2, allow_inf_nan=False)] = 0.5
    """How different two faces of one person may be, 0.1 to 2."""
    min_faces: AtLeastOne = 3
    """How many faces make a person, 1 or more."""


class Ocr(Section):
    """Reading of text in photos."""

    enabled: Flag = True
    """Whether text in photos is made searchable."""
    model_name: ModelName = "PP-OCRv5_mobile"
    """The OCR model."""
    min_detection_score: Score = 0.5
    """How sure the finding of a text must be, 0.1 to 1."""
    min_recognition_score: Score = 0.8
    """How sure the reading of a text must be, 0.1 to 1."""
    max_resolution: AtLeastOne = 736
    """Pixels that a photo is reduced to before its text is read."""


class AppMachineLearning(Section):
    """Machine learning as the server sees it."""

    enabled: Flag = True
    """Whether machine learning is used at all."""
    urls: Annotated[tuple[BaseUrl, ...], AfterValidator(each_once), AfterValidator(some)] = (
        BaseUrl("http://immich-machine-learning:3003"),
    )
    """Addresses of the machine-learning service, at least one, tried in this order (no load balancing).

    Set by the program from `immich:machineLearning`; give it here only for what that section cannot say.
    """
    availability_checks: AvailabilityChecks = Field(default_factory=AvailabilityChecks)
    """How the server finds out which address answers."""
    clip: Clip = Field(default_factory=Clip)
    """Search by content."""
    duplicate_detection: DuplicateDetection = Field(default_factory=DuplicateDetection)
    """Finding of near duplicates."""
    facial_recognition: FacialRecognition = Field(default_factory=FacialRecognition)
    """Finding of faces."""
    ocr: Ocr = Field(default_factory=Ocr)
    """Reading of text."""
