"""Immich: settings -> providers -> platform -> components -> outputs."""

from __future__ import annotations

import pulumi

from components.stack.configuration import load_settings, stack_file
from components.stack.immich import Immich, ImmichArgs
from components.stack.outputs import outputs
from components.stack.providers import platform, providers, render_directory
from components.upgrade.gate import judged_update

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
