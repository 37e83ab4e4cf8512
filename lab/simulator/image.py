"""The simulated Glance: one image, so that a server can be booted by the image's name."""

from __future__ import annotations

from collections.abc import Iterable

from lab.simulator.protocol import Answer, HttpError, Request, Route, Service
from lab.simulator.records import Json
from lab.simulator.views import IMAGE

NAME = "tiny"


class Glance(Service):
    """The image API, v2."""

    name = "image"
    root = "/image"

    def table(self) -> Iterable[Route]:
        """Method, path and handler of every route."""
        return [
            ("GET", "", self._versions),
            ("GET", "/versions", self._versions),
            ("GET", "/v2/images", self._images),
            ("GET", "/v2/images/([^/]+)", self._image),
        ]

    def error(self, error: HttpError) -> Json:
        """A document; the real one answers in HTML."""
        return {"code": error.status, "title": error.message}

    def _versions(self, request: Request) -> Answer:
        link = [{"rel": "self", "href": f"{request.base}{self.root}/v2/"}]
        return Answer(300, {"versions": [{"id": "v2.9", "status": "CURRENT", "links": link}]})

    def _images(self, request: Request) -> Answer:
        found = request.query.get("name") in (None, NAME) and request.query.get("id") in (None, IMAGE)
        return Answer(200, {"images": [_view()] if found else []})

    def _image(self, request: Request, id: str) -> Answer:
        if id != IMAGE:
            raise HttpError(404, f"No image found with ID {id}")
        return Answer(200, _view())


def _view() -> Json:
    return {"id": IMAGE, "name": NAME, "status": "active", "visibility": "public", "disk_format": "raw"}
