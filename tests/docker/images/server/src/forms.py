"""A form with one file (multipart/form-data), read a buffer at a time: the way that Immich's own clients upload."""

from __future__ import annotations

from bodies import Body, BodyError

_LONGEST_HEAD = 1 << 16
_CHUNK = 1 << 16


class FileOfForm:
    """The file `assetData` of a form, as a body that is read once; what comes before it is in `fields`."""

    def __init__(self, body: Body, content_type: str) -> None:
        _, _, boundary = content_type.partition("boundary=")
        if not boundary:
            raise BodyError("a form without a boundary")
        self._body = body
        self._mark = b"\r\n--" + boundary.strip().strip('"').encode()
        self._kept = b"\r\n"
        self.fields: dict[str, str] = {}
        self._at_end = False
        self._find_file()

    def read_into(self, buffer: memoryview) -> int:
        """The file's content; 0 at its end."""
        if self._at_end:
            return 0
        while True:
            place = self._kept.find(self._mark)
            # What could be the beginning of the boundary stays until more is known.
            ready = place if place >= 0 else max(0, len(self._kept) - len(self._mark) + 1)
            count = min(ready, len(buffer))
            if count:
                buffer[:count] = self._kept[:count]
                self._kept = self._kept[count:]
                return count
            if place == 0:
                self._at_end = True
                return 0
            self._more()

    def _find_file(self) -> None:
        while True:
            self._until(self._mark)
            head = self._until(b"\r\n\r\n").decode(errors="replace")
            if head.startswith("--"):
                raise BodyError("a form without assetData")
            name = _parameter(head, "name")
            if name == "assetData":
                self.fields["filename"] = _parameter(head, "filename")
                return
            value = self._until(self._mark, keep=True)
            self.fields[name] = value.decode(errors="replace")

    def _until(self, what: bytes, *, keep: bool = False) -> bytes:
        while (place := self._kept.find(what)) < 0:
            if len(self._kept) > _LONGEST_HEAD:
                raise BodyError("a form whose head does not end")
            self._more()
        found = self._kept[:place]
        self._kept = self._kept[place if keep else place + len(what) :]
        return found

    def _more(self) -> None:
        buffer = memoryview(bytearray(_CHUNK))
        count = self._body.read_into(buffer)
        if not count:
            raise BodyError("the form ended early")
        self._kept += bytes(buffer[:count])


def _parameter(head: str, name: str) -> str:
    _, found, rest = head.partition(f'; {name}="')
    return rest.partition('"')[0] if found else ""
