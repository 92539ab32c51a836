"""One frozen value of all that can be set: YAML, then the environment over it. A door to pydantic.

Environment variables are named `PROGRESSIVE_PROXY_` and the path of the key, joined by `__`:
`PROGRESSIVE_PROXY_CACHE__BYTES=2GiB`. A list is given as JSON.
"""

from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from proxy.access.admission import Admission, admission_of, leads_to
from proxy.access.caller import Forward, Policy
from proxy.codecs.jobs import Offered
from proxy.plan.choice import ProfileChoice, Rule
from proxy.plan.profile import STOCK, Profile, stock_profile
from proxy.settings.reading import read
from proxy.settings.sections import (
    AlternateSettings,
    CacheSettings,
    CorsSettings,
    Listen,
    Log,
    OriginSettings,
    Ready,
    WorkersSettings,
    split_address,
)
from proxy.wire.via import Via


class Settings(BaseSettings):
    """The whole configuration."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        env_prefix="PROGRESSIVE_PROXY_",
        env_nested_delimiter="__",
    )
    reserved: ClassVar[tuple[str, ...]] = ("studies", "series", "instances", "bulkdata", "workitems")

    listen: Listen = Listen()
    """The two listeners."""
    ready: Ready = "started"
    """When `/readyz` says 200: once the proxy `started`, or also reached `any-origin` or `each-origin`."""
    origins: tuple[OriginSettings, ...] = Field(min_length=1)
    """The DICOMweb servers; one at least."""
    access: Policy = "credential"
    """Who finds a cached frame: only the credential that fetched it, or, if `shared`, everybody."""
    cors: CorsSettings = CorsSettings()
    """Pages of viewers that come from elsewhere."""
    profiles: dict[str, Profile] = Field(default_factory=dict)
    """Retrieve profiles by name, beside the stock ones."""
    profile: str = STOCK[0]
    """The profile where nothing else chooses one."""
    choose: tuple[Rule, ...] = ()
    """Rules that choose a profile where the request names none; the first that fits decides."""
    alternates: dict[str, AlternateSettings] = Field(default_factory=dict)
    """Other representations of frames by name."""
    workers: WorkersSettings = WorkersSettings()
    """The processes that decode and encode alternates."""
    cache: CacheSettings = CacheSettings()
    """What is kept in memory."""
    log: Log = Log()
    """What is written to standard error."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        names = [origin.name for origin in self.origins]
        if len(set(names)) < len(names):
            raise ValueError("origins: each needs a name of its own")
        if set(names) & set(self.reserved):
            raise ValueError(f"origins: no name may be one of {', '.join(self.reserved)}")
        if sum(origin.default for origin in self.origins) > 1:
            raise ValueError("origins: one can be the default")
        named = [("profile", self.profile), *(("origins", o.profile) for o in self.origins if o.profile)]
        for key, name in named + [("choose", rule.profile) for rule in self.choose]:
            if name not in self.profiles and name not in STOCK:
                raise ValueError(f"{key}: there is no profile {name!r}; stock ones are {', '.join(STOCK)}")
        paths = [each.path for each in self.alternates.values()]
        if len(set(paths)) < len(paths):
            raise ValueError("alternates: each needs a path of its own")
        for rule in self.choose:
            if rule.origin is not None and rule.origin not in names:
                raise ValueError(f"choose: there is no origin {rule.origin!r}")
        return self

    @property
    def default_origin(self) -> OriginSettings | None:
        """The origin that is served without its name."""
        if len(self.origins) == 1:
            return self.origins[0]
        return next((origin for origin in self.origins if origin.default), None)

    @property
    def forward(self) -> dict[str, Forward]:
        """What each origin gets of a viewer's credentials, by its name."""
        return {origin.name: self._forward_to(origin) for origin in self.origins}

    def _forward_to(self, origin: OriginSettings) -> Forward:
        if origin.credentials.is_set:
            return Forward(authorization=False, cookies=frozenset(), is_own=True)
        said, is_only = origin.forward, len(self.origins) == 1
        if (said.cookies is None and is_only) or "*" in (said.cookies or ()):
            return Forward(said.authorization)
        return Forward(said.authorization, frozenset(said.cookies or ()))

    def all_profiles(self) -> dict[str, Profile]:
        """Stock and configured profiles by name; a configured one goes before a stock one."""
        return {name: stock_profile(name) for name in STOCK} | self.profiles

    @property
    def offered(self) -> tuple[Offered, ...]:
        """The alternates that viewers may ask for."""
        return tuple(Offered(each.path, each.made, each.alternate) for each in self.alternates.values())

    def choice(self) -> ProfileChoice:
        """How a profile is chosen."""
        by_origin = {origin.name: origin.profile or self.profile for origin in self.origins}
        return ProfileChoice(self.all_profiles(), self.choose, by_origin)

    def admission(self, via: Via) -> Admission:
        """Which requests either listener lets in; `via` tells those that were here before."""
        return admission_of(
            via,
            [split_address(each)[0] for each in (self.listen.viewers, self.listen.admin)],
            self.listen.hosts,
            self.cors.origins,
            has_own_proof=any(origin.has_own_proof for origin in self.origins),
        )

    def leading_back(self) -> list[str]:
        """Names of the origins whose url surely leads to the proxy itself."""
        listened = [split_address(each) for each in (self.listen.viewers, self.listen.admin)]
        return [each.name for each in self.origins if any(leads_to(each.url, *at) for at in listened)]

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment goes over the file."""
        del settings_cls, dotenv_settings, file_secret_settings
        return env_settings, init_settings


def load(path: Path) -> Settings:
    """The settings in a file. Raises `ConfigurationError`, a line a fault: file, line, key, what is right."""
    return read(path, Settings)
