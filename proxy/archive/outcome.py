"""What came of making a tree: how many of what, how much, and what was not converted and why."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from proxy.archive.manifest import Manifest


@dataclass
class Outcome:
    """Counted as it goes."""

    made: int = 0
    """Instances that were made now."""
    found: int = 0
    """Instances that were there and whole."""
    twice: int = 0
    """Files that are the same as others."""
    not_dicom: int = 0
    """Files in folders that are none, or directories of others."""
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
        self.failed[path] = " ".join(str(error).split()) or type(error).__name__

    def add(self, manifest: Manifest) -> None:
        """An instance that was made."""
        self.made += 1
        for path, entry in manifest.files.items():
            name = path.partition("/")[0].partition(".")[0]
            self.written["DICOM" if name == "index" else name] += entry.size

    def __str__(self) -> str:
        def megabytes(size: int) -> str:
            return f"{size / 1e6:,.1f} MB"

        others = ((self.twice, "files twice"), (self.not_dicom, "files are no instances"))
        lines = [f"{self.made:,} instances made, {self.found:,} found whole, {self.listed:,} in the tree"]
        lines += [f"{count:,} {what}" for count, what in others if count]
        lines += [f"{count:,} instances: {what}" for what, count in sorted(self.notes.items())]
        if self.made:
            sizes = ", ".join(f"{name} {megabytes(size)}" for name, size in self.written.items())
            lines.append(f"read {megabytes(self.read)}, wrote {megabytes(self.written.total())}: {sizes}")
        lines.append(f"took {self.seconds:,.1f} s")
        return "\n".join(lines)
