"""What came of making a tree: how many of what, how much, and what was not converted and why."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from proxy.archive.dataset import words
from proxy.archive.manifest import Manifest


@dataclass
class Outcome:
    """Counted as it goes."""

    made: int = 0
    """Instances that were made now."""
    found: int = 0
    """Instances that were there and whole."""
    twice: dict[Path, Path] = field(default_factory=dict)
    """Files that are the same as others, and as which."""
    not_dicom: dict[Path, str] = field(default_factory=dict)
    """Files in folders that are no instances, and why."""
    left_out: list[tuple[Path, str]] = field(default_factory=list)
    """Attributes and overlays that an instance in the tree has not, by file, and why."""
    listed: int = 0
    """Instances that the tree has now."""
    read: int = 0
    """Bytes of the files that were converted."""
    written: Counter[str] = field(default_factory=Counter)
    """Bytes by what they are."""
    notes: Counter[str] = field(default_factory=Counter)
    """What was left as it was, and how often."""
    failed: dict[Path, str] = field(default_factory=dict)
    """What could not be converted, and why."""
    seconds: float = 0.0
    """From beginning to end."""

    def fail(self, path: Path, error: Exception) -> None:
        """A file that was not converted."""
        self.failed[path] = words(error) or type(error).__name__

    def add(self, manifest: Manifest) -> None:
        """An instance that was made."""
        self.made += 1
        for path, entry in manifest.files.items():
            name = path.partition("/")[0].partition(".")[0]
            self.written["DICOM" if name == "index" else name] += entry.size

    def __str__(self) -> str:
        def megabytes(size: int) -> str:
            return f"{size / 1e6:,.1f} MB"

        others = ((len(self.twice), "files twice"), (len(self.not_dicom), "files are no instances"))
        lines = [f"{self.made:,} instances made, {self.found:,} found whole, {self.listed:,} in the tree"]
        lines += [f"{count:,} {what}" for count, what in others if count]
        lines += [f"{count:,} instances: {what}" for what, count in sorted(self.notes.items())]
        if self.made:
            sizes = ", ".join(f"{name} {megabytes(size)}" for name, size in self.written.items())
            lines.append(f"read {megabytes(self.read)}, wrote {megabytes(self.written.total())}: {sizes}")
        lines.append(f"took {self.seconds:,.1f} s")
        return "\n".join(lines)

    @property
    def faults(self) -> Iterator[str]:
        """A line for each file that is not in the tree, or not all of it, and why."""
        if self.twice:
            yield f"twice: {len(self.twice):,} files"
            yield from (f"  {path}, the same as {other}" for path, other in self.twice.items())
        if self.not_dicom:
            yield f"no instances: {len(self.not_dicom):,} files"
            yield from (f"  {path}: {why}" for path, why in self.not_dicom.items())
        if self.left_out:
            yield f"left out: {len(self.left_out):,} attributes"
            yield from (f"  {path}: {why}" for path, why in self.left_out)
        if self.failed:
            yield f"not converted: {len(self.failed):,} files"
            yield from (f"  {path}: {why}" for path, why in self.failed.items())
