"""All settings as one frozen value: YAML, overridden by the environment. Imports pydantic.

An environment variable is `PROGRESSIVE_PROXY_` and the path of the key, joined by `__`:
`PROGRESSIVE_PROXY_CACHE__BYTES=2GiB`. A list is given as JSON.
"""

import os
from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from proxy.access.admission import Admission, admission_of, is_loopback, leads_to
from proxy.access.caller import Forward
from proxy.codecs.jobs import Offered
from proxy.plan.choice import ProfileChoice, Rule
from proxy.plan.kinds import OrText
from proxy.plan.names import STOCK
from proxy.plan.profile import Profile, extended, stock_profile
from proxy.settings.access import AccessSettings, WhoMayRead, section_of
from proxy.settings.bounds import BoundsSettings
from proxy.settings.caching import CacheSettings
from proxy.settings.environment import refuse_unknown
from proxy.settings.listening import AdminSettings, Listen, split_address
from proxy.settings.reading import read
from proxy.settings.sections import (
    AlternateSettings,
    AuditSettings,
    CorsSettings,
    Log,
    OriginSettings,
    Ready,
    WorkersSettings,
)
from proxy.settings.tracing import TracesSettings
from proxy.settings.warming import WarmSettings
from proxy.wire.meant import meant
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
    admin: AdminSettings = AdminSettings()
    """The lock of the admin listener."""
    bounds: BoundsSettings = BoundsSettings()
    """How much may be under way at once."""
    ready: Ready = "started"
    """When `/readyz` answers 200: once the proxy has `started`, or reached `any-origin` or `each-origin`."""
    origins: tuple[OriginSettings, ...] = Field(min_length=1)
    """The DICOMweb servers; at least one."""
    access: WhoMayRead = AccessSettings()
    """The readers of a cached frame; the policy alone may stand in place of the section."""
    cors: CorsSettings = CorsSettings()
    """Cross-origin access for viewers' pages."""
    profiles: dict[str, Annotated[Profile, OrText()]] = Field(default_factory=dict)
    """Retrieve profiles by name, in addition to the stock profiles."""
    profile: str = STOCK[0]
    """Profile to use if neither the request, a rule nor the origin names one."""
    choose: tuple[Rule, ...] = ()
    """Rules that choose a profile if the request names none; the first matching rule decides."""
    alternates: dict[str, AlternateSettings] = Field(default_factory=dict)
    """Alternate representations of frames, by name."""
    workers: WorkersSettings = WorkersSettings()
    """The processes that serve viewers, and those that make alternates."""
    cache: CacheSettings = CacheSettings()
    """The memory cache, and the tiers behind it."""
    log: Log = Log()
    """The log on standard error."""
    audit: AuditSettings = AuditSettings()
    """The audit: who got what of which study."""
    traces: TracesSettings = TracesSettings()
    """Spans of distributed traces."""
    warm: tuple[WarmSettings, ...] = ()
    """Studies to fetch before anybody asks, found by searches."""

    @field_validator("profiles")
    @classmethod
    def _builds_on_others(cls, profiles: dict[str, Profile]) -> dict[str, Profile]:
        for name, profile in profiles.items():
            try:
                extended(profile, profiles)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        return profiles

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        names = [origin.name for origin in self.origins]
        if len(set(names)) < len(names):
            raise ValueError("origins: each origin needs a different name")
        if set(names) & set(self.reserved):
            raise ValueError(
                f"origins: an origin must not have one of these names: {', '.join(self.reserved)}"
            )
        if sum(origin.default for origin in self.origins) > 1:
            raise ValueError("origins: only one origin can be the default")
        named = [("profile", self.profile), *(("origins", o.profile) for o in self.origins if o.profile)]
        for key, name in named + [("choose", rule.profile) for rule in self.choose]:
            if name not in self.profiles and name not in STOCK:
                right = meant(name, (*self.profiles, *STOCK), f"stock ones are {', '.join(STOCK)}")
                raise ValueError(f"{key}: there is no profile {name!r}{right}")
        paths = [each.path for each in self.alternates.values()]
        if len(set(paths)) < len(paths):
            raise ValueError("alternates: each alternate needs a different path")
        if self.admin.open and not is_loopback(split_address(self.listen.admin)[0]):
            raise ValueError("admin: open is possible only if listen.admin is a loopback address")
        for rule in self.choose:
            for name in set(rule.origin or ()) - set(names):
                raise ValueError(f"choose: there is no origin {name!r}{meant(name, names)}")
        return self

    @model_validator(mode="after")
    def _has_key_for_tiers(self) -> Self:
        if self.cache.disk.path is not None and self.access.key_file is None:
            raise ValueError(
                "cache.disk: needs access.key_file, a file of at least 32 random bytes that stays the same: "
                "with a key made at start, nothing on disk could be found again"
            )
        for name, url in (("shared", self.cache.shared.url), ("objects", self.cache.objects.url)):
            if url is not None and self.access.key_file is None:
                raise ValueError(
                    f"cache.{name}: needs access.key_file, a file of at least 32 random bytes that all "
                    "replicas have: with keys of their own, none could read what another one wrote"
                )
        return self

    @model_validator(mode="after")
    def _can_warm(self) -> Self:
        names = [each.name for each in self.warm]
        if len(set(names)) < len(names):
            raise ValueError("warm: each needs a different name")
        by_name = {origin.name: origin for origin in self.origins}
        for each in self.warm:
            if each.profile is not None and each.profile not in self.profiles and each.profile not in STOCK:
                right = meant(each.profile, (*self.profiles, *STOCK))
                raise ValueError(f"warm: there is no profile {each.profile!r}{right}")
            if each.origin is None and self.default_origin is None:
                raise ValueError(f"warm: {each.name} needs the name of an origin: none is the default")
            if each.origin is not None and each.origin not in by_name:
                raise ValueError(f"warm: there is no origin {each.origin!r}{meant(each.origin, by_name)}")
            origin = by_name[each.origin] if each.origin is not None else self.default_origin
            if each.token_file is not None and origin is not None and origin.credentials.is_set:
                raise ValueError(f"warm: {each.name} needs no token_file: the origin has credentials")
        return self

    @property
    def default_origin(self) -> OriginSettings | None:
        """The origin that is also served without its name in the path."""
        if len(self.origins) == 1:
            return self.origins[0]
        return next((origin for origin in self.origins if origin.default), None)

    @property
    def forward(self) -> dict[str, Forward]:
        """The parts of a viewer's credentials that each origin gets, by origin name."""
        return {origin.name: self._forward_to(origin) for origin in self.origins}

    def _forward_to(self, origin: OriginSettings) -> Forward:
        if origin.credentials.is_set:
            return Forward(authorization=False, cookies=frozenset(), is_own=True)
        said, is_only = origin.forward, len(self.origins) == 1
        if (said.cookies is None and is_only) or "*" in (said.cookies or ()):
            return Forward(said.authorization)
        return Forward(said.authorization, frozenset(said.cookies or ()))

    @property
    def has_makers(self) -> bool:
        """True if workers make alternates, HTJ2K or rendered pictures."""
        makes = (origin.rendered != "origin" or origin.is_converted for origin in self.origins)
        return bool(self.alternates) or any(makes)

    @property
    def converted(self) -> frozenset[str]:
        """Names of the origins whose frames the proxy makes into HTJ2K."""
        return frozenset(origin.name for origin in self.origins if origin.is_converted)

    def all_profiles(self) -> dict[str, Profile]:
        """Stock and configured profiles by name; a configured one replaces a stock one."""
        own = {name: extended(profile, self.profiles) for name, profile in self.profiles.items()}
        return {name: stock_profile(name) for name in STOCK} | own

    @property
    def offered(self) -> tuple[Offered, ...]:
        """The alternates that viewers may request."""
        return tuple(Offered(each.path, each.made, each.alternate) for each in self.alternates.values())

    def choice(self) -> ProfileChoice:
        """Returns the profiles and the rules that choose one."""
        by_origin = {origin.name: origin.profile or self.profile for origin in self.origins}
        return ProfileChoice(self.all_profiles(), self.choose, by_origin)

    def admission(self, via: Via) -> Admission:
        """Returns the check of requests to either listener; `via` recognizes requests that went in a loop."""
        return admission_of(
            via,
            [split_address(each)[0] for each in (self.listen.viewers, self.listen.admin)],
            self.listen.hosts,
            self.cors.origins,
            has_own_proof=any(origin.has_own_proof for origin in self.origins),
        )

    def leading_back(self) -> list[str]:
        """Names of the origins whose url certainly leads back to this proxy."""
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
        """Gives the environment precedence over the file, key by key."""
        del settings_cls, dotenv_settings, file_secret_settings
        given = init_settings()
        if isinstance(given.get("access"), str):  # a key of the environment would replace the word
            init_settings = InitSettingsSource(cls, given | {"access": section_of(given["access"])})
        return env_settings, init_settings


def load(path: Path) -> Settings:
    """Reads settings from a file. Raises `ConfigurationError`, one line per fault with line and key."""
    settings = read(path, Settings)
    passwords = (origin.credentials.password_env for origin in settings.origins)
    refuse_unknown(os.environ, Settings, but=[name for name in passwords if name])
    return settings
