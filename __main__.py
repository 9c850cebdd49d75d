"""Immich: settings -> providers -> platform -> components -> outputs."""

from __future__ import annotations

import gc

import pulumi

from components.configuration import load_settings, stack_file
from components.immich import Immich, ImmichArgs
from components.outputs import outputs
from components.providers import platform, providers, render_directory
from components.upgrades.gate import judged_update

# Registering makes many objects and leaves few: to look for those after every 700 takes a quarter of the time.
gc.set_threshold(50_000)
stack = pulumi.get_stack()
settings = load_settings()
judged = judged_update(settings, stack)
with_providers = pulumi.ResourceOptions(providers=providers(settings, stack))
target = platform(settings, stack, with_providers)
immich = Immich(
    ImmichArgs(platform=target, settings=settings, stack=stack, judged=judged, stack_file=stack_file()),
    with_providers,
)
target.finish()
for name, value in outputs(settings, stack, render_directory(settings, stack)).items():
    pulumi.export(name, value)
for name, value in immich.outputs.items():
    pulumi.export(name, value)
