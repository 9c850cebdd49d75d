"""nginx configurations as nginx understands them: included files, inherited directives, the location of a request."""

from __future__ import annotations

import fnmatch
import itertools
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import crossplane

from immich_policy.model import Registered, Stack
from immich_policy.reading.containers import Container
from immich_policy.reading.files import File, files
from immich_policy.reading.parts import having
from immich_policy.reading.roles import Role
from immich_policy.reading.walk import names_of

UPLOAD = "/api/assets"
"""Where Immich takes photos and videos."""
_MAIN = "/etc/nginx/nginx.conf"
_COMMAND = re.compile(r"-[a-z]*c")
_GIVEN = re.compile(r"\s-c\s+[\"']?(/[^\s\"']+)")
_DROP_INS = ("/etc/nginx/conf.d/", "/etc/nginx/sites-enabled/", "/etc/nginx/templates/")
_DEPTH = 8


@dataclass(frozen=True, slots=True, eq=False)
class Directive:
    """One directive and where it is written."""

    name: str
    args: tuple[str, ...]
    resource: Registered
    path: str
    """`data["nginx.conf"] line 12`."""
    block: tuple[Directive, ...] | None = None

    @property
    def value(self) -> str:
        """Its arguments as one text."""
        return " ".join(self.args)

    def inner(self, name: str) -> list[Directive]:
        """Directives of a name directly in its block."""
        return [one for one in self.block or () if one.name == name]


@dataclass(frozen=True, slots=True, eq=False)
class Server:
    """One `server` block."""

    container: Container
    directive: Directive
    http: Directive

    @property
    def listens(self) -> str:
        """What it listens on, in words."""
        return ", ".join(one.args[0] for one in self.directive.inner("listen") if one.args) or "80"


@dataclass(frozen=True, slots=True, eq=False)
class Configuration:
    """What one nginx reads."""

    container: Container
    http: tuple[Directive, ...]
    stream: tuple[Directive, ...]
    problems: tuple[tuple[File, str], ...]
    """Files that nginx would refuse, and why."""
    unknown: tuple[File, ...]
    """Files whose text is not known yet."""

    @property
    def servers(self) -> list[Server]:
        """Every `server` block."""
        return [Server(self.container, one, http) for http in self.http for one in http.inner("server")]


def configurations(stack: Stack) -> list[Configuration]:
    """The configuration of every registered nginx whose files the program gives; replicas of one are read once each."""
    found = [_read(one, files(stack, one)) for one in having(stack, Role.NGINX)]
    return [one for one in found if one is not None]


def _read(one: Container, given: Mapping[str, File]) -> Configuration | None:
    reader = _Reader(given)
    main = _main_of(one, given)
    if main is not None:
        top = reader.parsed(main, posixpath.dirname(main), 0)
        http = tuple(each for each in top if each.name == "http")
        stream = tuple(each for each in top if each.name == "stream")
    else:
        drop_ins = sorted(path for path in given if path.startswith(_DROP_INS) and ".conf" in path)
        if not drop_ins:
            return None
        inner = tuple(each for path in drop_ins for each in reader.parsed(path, "/etc/nginx", 0))
        at = given[drop_ins[0]]
        http, stream = (Directive("http", (), at.resource, at.path, inner),), ()
    return Configuration(one, http, stream, tuple(reader.problems), tuple(reader.unknown))


def _main_of(one: Container, given: Mapping[str, File]) -> str | None:
    words = one.arguments()
    after = [following for word, following in itertools.pairwise(words) if _COMMAND.fullmatch(word)]
    after += [word.removeprefix("-c") for word in words if word.startswith("-c/")]
    # A shell that starts nginx is given its script by `-c`, and the file by that or by a word after it.
    scripts = [found for text in after for found in _GIVEN.findall(text)]
    for path in (*after, *scripts, *words):
        if path in given and (path in after or path.endswith(".conf")):
            return path
    if any(text.startswith("/") for text in (*after, *scripts)):
        return None
    if _MAIN in given:
        return _MAIN
    return next((path for path in sorted(given) if posixpath.basename(path) == "nginx.conf"), None)


class _Reader:
    def __init__(self, given: Mapping[str, File]) -> None:
        self._given = given
        self.problems: list[tuple[File, str]] = []
        self.unknown: list[File] = []

    def parsed(self, path: str, folder: str, depth: int) -> tuple[Directive, ...]:
        file = self._given[path]
        if not isinstance(file.content, str):
            self.unknown.append(file)
            return ()
        try:
            payload = cast(
                "dict[str, Any]",
                crossplane.parse_string(
                    file.content, filename=path, single=True, check_ctx=False, check_args=False
                ),
            )
            first = payload["config"][0]
            self.problems += [(file, _told(error)) for error in first["errors"]]
            found = tuple(self._directives(first["parsed"], file, folder, depth))
        except Exception as error:  # noqa: BLE001 - whatever the parser cannot take, nginx cannot either; it is reported
            self.problems.append((file, type(error).__name__))
            return ()
        return found

    def _directives(
        self, parsed: list[dict[str, Any]], file: File, folder: str, depth: int
    ) -> Iterator[Directive]:
        for one in parsed:
            name, args = str(one["directive"]), tuple(str(arg) for arg in one.get("args", ()))
            if name == "include" and args:
                pattern = args[0] if args[0].startswith("/") else posixpath.join(folder, args[0])
                for path in sorted(self._given):
                    if fnmatch.fnmatchcase(path, pattern) and depth < _DEPTH:
                        yield from self.parsed(path, folder, depth + 1)
                continue
            block = one.get("block")
            inner = None if block is None else tuple(self._directives(block, file, folder, depth))
            yield Directive(name, args, file.resource, f"{file.path} line {one['line']}", inner)


def _told(error: Mapping[str, Any]) -> str:
    return (
        re.sub(r" in \S+:\d+$", "", str(error.get("error", "it cannot be read")))
        + f" (line {error.get('line')})"
    )


Chain = tuple[Directive, ...]
"""`http`, `server` and the locations inside each other, outermost first."""


def location(server: Server, uri: str) -> Chain:
    """The blocks that nginx takes a request's directives from (ngx_http_core_find_location)."""
    chain: Chain = (server.http, server.directive)
    found = _find(server.directive, uri)
    while found is not None:
        chain = (*chain, found)
        found = _find(found, uri)
    return chain


def _find(within: Directive, uri: str) -> Directive | None:
    best: Directive | None = None
    best_prefix, stops = "", False
    patterns: list[tuple[Directive, str, bool]] = []
    for one in within.inner("location"):
        modifier, pattern = (
            (one.args[0], one.args[1]) if len(one.args) > 1 else ("", one.args[0] if one.args else "")
        )
        if modifier == "=":
            if pattern == uri:
                return one
        elif modifier in {"~", "~*"}:
            patterns.append((one, pattern, modifier == "~*"))
        elif uri.startswith(pattern) and not pattern.startswith("@") and len(pattern) >= len(best_prefix):
            best, best_prefix, stops = one, pattern, modifier == "^~"
    if best is not None and stops:
        return best
    for one, pattern, ignore_case in patterns:
        if _matches(pattern, uri, ignore_case):
            return one
    return best


def _matches(pattern: str, uri: str, ignore_case: bool) -> bool:
    expression = _compiled(pattern, ignore_case)
    return expression is not None and expression.search(uri) is not None


def _compiled(pattern: str, ignore_case: bool) -> re.Pattern[str] | None:
    """A regular expression of nginx (PCRE); None for one that Python does not understand."""
    python = pattern.replace("(?<", "(?P<").replace("(?P<=", "(?<=").replace("(?P<!", "(?<!")
    try:
        return re.compile(python, re.IGNORECASE if ignore_case else 0)
    except (re.error, RecursionError, OverflowError):
        return None


def unreadable(stack: Stack) -> list[Directive]:
    """Locations of which it cannot be said what they take."""
    waiting = [
        one
        for each in stack.once(configurations)
        for server in each.servers
        for one in server.directive.block or ()
    ]
    found: list[Directive] = []
    while waiting:
        one = waiting.pop()
        if one.name == "location":
            waiting += one.block or ()
            if (
                one.args[:1] in {("~",), ("~*",)}
                and _compiled(" ".join(one.args[1:]), ignore_case=False) is None
            ):
                found.append(one)
    return found


def ports_of(server: Server) -> set[int]:
    """Ports that a server listens on."""
    listens = [one.args[0] for one in server.directive.inner("listen") if one.args] or ["80"]
    found = [re.search(r"(?:^|:)(\d+)$", one) for one in listens]
    return {int(each[1]) if each else 80 for each in found}


def effective(chain: Chain, name: str) -> Directive | None:
    """The directive that counts: the last one of the innermost block that has it."""
    for block in reversed(chain):
        found = block.inner(name)
        if found:
            return found[-1]
    return None


def effective_all(chain: Chain, name: str) -> list[Directive]:
    """Directives that come together, such as `proxy_set_header`: all of the innermost block that has one."""
    for block in reversed(chain):
        found = block.inner(name)
        if found:
            return found
    return []


def uploads_through(stack: Stack, found: Configuration) -> list[tuple[Server, Chain]]:
    """Servers that pass uploads on to Immich, each with the blocks that an upload gets."""
    names = names_of(stack, Role.SERVER)
    result: list[tuple[Server, Chain]] = []
    for server in found.servers:
        chain = location(server, UPLOAD)
        passes = chain[-1].inner("proxy_pass")
        if passes and not chain[-1].inner("return") and to_immich(passes[-1], server, names):
            result.append((server, chain))
    return result


def to_immich(passes: Directive, server: Server, names: frozenset[str]) -> bool:
    """Whether a `proxy_pass` leads to the server, which has these names."""
    texts = leads(passes, (server.http, server.directive))
    hosts = {host for one in texts for host in re.findall(r"[A-Za-z0-9_-]+", one)}
    return bool(hosts & names) or any("immich" in one or re.search(r":2283\b", one) for one in texts)


def leads(passes: Directive, blocks: Chain) -> list[str]:
    """Where a `proxy_pass` inside these blocks may lead, as it is written: with variables and upstreams followed."""
    texts = list(passes.args[:1])
    for name in re.findall(r"\$\{?(\w+)", " ".join(texts)):
        for block in blocks:
            texts += [" ".join(one.args[1:]) for one in block.inner("set") if one.args[:1] == (f"${name}",)]
            texts += [
                inner.value
                for one in block.inner("map")
                if one.args[-1:] == (f"${name}",)
                for inner in one.block or ()
            ]
    for upstream in (one for block in blocks[:1] for one in block.inner("upstream")):
        if upstream.args and any(
            re.search(rf"(?:^|//){re.escape(upstream.args[0])}(?:[/:]|$)", one) for one in texts
        ):
            texts += [one.value for one in upstream.inner("server")]
    return texts


def every_pass(found: Configuration) -> Iterator[tuple[Directive, Chain]]:
    """Every `proxy_pass` and `grpc_pass` of HTTP and of streams, with the blocks that it is in."""
    waiting: list[Chain] = [(one,) for one in (*found.http, *found.stream)]
    while waiting:
        chain = waiting.pop()
        for one in chain[-1].block or ():
            if one.name in {"proxy_pass", "grpc_pass"}:
                yield one, chain
            elif one.block is not None and one.name in {"server", "location", "if", "limit_except"}:
                waiting.append((*chain, one))


def waits(stack: Stack) -> list[tuple[File, Container]]:
    """Files of nginx that cannot be judged, since their text is not known yet."""
    return [(file, one.container) for one in stack.once(configurations) for file in one.unknown]
