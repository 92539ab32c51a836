"""Reasons to open a request for a frame again in another way, before anything was sent."""

from dataclasses import replace

from proxy.viewers.request import FrameRequest


class Otherwise(Exception):
    """Nothing was sent yet, and the request has to be opened again in another way."""

    def of(self, asked: FrameRequest) -> FrameRequest:
        """The request to open instead."""
        raise NotImplementedError


class NoRange(Otherwise):
    """If-Range names another version, so the viewer gets the whole frame instead of the range."""

    def of(self, asked: FrameRequest) -> FrameRequest:
        """Without a range."""
        return replace(asked, conditions=replace(asked.conditions, range=None, if_range=None))


class NotNamed(Otherwise):
    """Only a digest of the whole frame can show if it is the version that the viewer has."""

    def of(self, asked: FrameRequest) -> FrameRequest:
        """With the whole frame."""
        return replace(asked, is_settled=True)


class NotShared(Otherwise):
    """The response on its way may be used only for the viewer that asked for it first."""

    def of(self, asked: FrameRequest) -> FrameRequest:
        """With a fetch of its own."""
        return replace(asked, is_alone=True)
