"""The places of plans that run. A plan takes one for itself and one for each of its frames."""

from dataclasses import dataclass

from proxy.access.bounds import Bound


@dataclass(frozen=True, slots=True)
class PlanPlaces:
    """The bounds that plans have to keep."""

    plans: Bound
    """Plans that run."""
    frames: Bound
    """Their frames, fetched or not."""

    def check(self, person: bytes, frames: int = 0) -> None:
        """Raises `TooMany` or `ServiceFull` if a plan for so many frames could not start now."""
        self.plans.check(person)
        self.frames.check(person, frames)

    def take(self, person: bytes, frames: int) -> None:
        """A plan starts. Raises likewise."""
        self.check(person, frames)
        self.plans.take(person)
        self.frames.take(person, frames)

    def give_back(self, person: bytes, frames: int) -> None:
        """A plan has ended."""
        self.plans.give_back(person)
        self.frames.give_back(person, frames)
