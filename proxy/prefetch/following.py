"""Looking at a plan: only its maker may, and only while the origin lets it read what the plan is about.

A plan's status and events tell which frames there are, and how long they are. So each look needs a yes that
counts, as a frame does. A plan that runs asks with its own fetches. As long as the origin refuses none of
them, the proxy asks no more about a caller with the same credentials. If the origin refuses the maker while
it follows the events, it gets only one more, which says that the plan has ended. The plan ends too, since
the origin refuses its fetches.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

from proxy.access.caller import Caller
from proxy.errors import ProxyError
from proxy.fetch.permit import Permit
from proxy.prefetch.events import Event
from proxy.prefetch.plans import Plans
from proxy.prefetch.run import Run
from proxy.prefetch.studies import StudyPlans, Wish


class Following:
    """Lets makers look at their plans."""

    def __init__(self, plans: Plans, studies: StudyPlans) -> None:
        self._plans = plans
        self._studies = studies

    async def prove(self, run: Run, caller: Caller) -> None:
        """Returns if a caller may read what a plan is about. Raises `OriginError`, `CallerRefused`."""
        is_asked = caller.identity == run.carrier.caller.identity and not (run.is_over or run.is_refused)
        if not caller.identity or is_asked:
            return
        if run.parts:
            await self._plans.admit(run.parts[0].frames, caller)
        else:  # no series of the study is open yet, or only metadata is wanted
            await self._studies.series(caller, Wish(run.study[1]))

    async def events(
        self, run: Run, caller: Caller, let_in: Callable[[], Awaitable[object]]
    ) -> AsyncIterator[Event]:
        """The events of a plan until it ends, or until the caller may read it no longer.

        `let_in` lets the caller in again.
        """
        permit, may_read = self._permit(run, caller), True
        async for event in run.events.follow():
            if may_read:
                is_refused = permit is not None and run.is_refused
                may_read = not is_refused and await _may_read_on(caller, let_in, permit)
            if may_read or event[1] == "end":
                yield event
            elif not (run.is_refused or run.is_over):
                return

    def _permit(self, run: Run, caller: Caller) -> Permit | None:
        if not caller.identity:
            return None
        name = caller.identity, *run.study
        return Permit(self._plans.permits.proofs, name, partial(self.prove, run, caller))


async def _may_read_on(
    caller: Caller, let_in: Callable[[], Awaitable[object]], permit: Permit | None
) -> bool:
    try:
        if not caller.can_read_on():
            await let_in()
        if permit is not None:
            await permit.check()
    except ProxyError:
        return False
    return True
