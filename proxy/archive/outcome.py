"""The result of creating a tree: counts, sizes, and which files were not converted and why."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from proxy.archive.dataset import words
from proxy.archive.manifest import Manifest


@dataclass
class Outcome:
    """The result so far; updated while the tree is created."""

    made: int = 0
    """Instances made by this run."""
    found: int = 0
    """Instances that were complete already."""
    twice: dict[Path, Path] = field(default_factory=dict)
    """Duplicate files, and the file that each equals."""
    not_dicom: dict[Path, str] = field(default_factory=dict)
    """Files in folders that are not instances, and why."""
    left_out: list[tuple[Path, str]] = field(default_factory=list)
    """Attributes and overlays that were left out of the tree: file and reason."""
    listed: int = 0
    """Instances in the tree after this run."""
    read: int = 0
    """Bytes of the files that were converted."""
    written: Counter[str] = field(default_factory=Counter)
    """Bytes written, by kind of file."""
    notes: Counter[str] = field(default_factory=Counter)
    """Notes about what was left unchanged, with counts."""
    failed: dict[Path, str] = field(default_factory=dict)
    """Files that could not be converted, and why."""
    seconds: float = 0.0
    """Duration of the run."""

    def fail(self, path: Path, error: Exception) -> None:
        """Records a file that could not be converted."""
        self.failed[path] = words(error) or type(error).__name__

    def add(self, manifest: Manifest) -> None:
        """Records an instance that was made."""
        self.made += 1
        for path, entry in manifest.files.items():
            name = path.partition("/")[0].partition(".")[0]
            self.written["DICOM" if name == "index" else name] += entry.size

    def __str__(self) -> str:
        def megabytes(size: int) -> str:
            return f"{size / 1e6:,.1f} MB"

        others = ((len(self.twice), "files are duplicates"), (len(self.not_dicom), "files are not instances"))
        lines = [
            f"{self.made:,} instances made, {self.found:,} already complete, {self.listed:,} in the tree"
        ]
        lines += [f"{count:,} {what}" for count, what in others if count]
        lines += [f"{count:,} instances: {what}" for what, count in sorted(self.notes.items())]
        if self.made:
            sizes = ", ".join(f"{name} {megabytes(size)}" for name, size in self.written.items())
            lines.append(f"read {megabytes(self.read)}, wrote {megabytes(self.written.total())}: {sizes}")
        lines.append(f"took {self.seconds:,.1f} s")
        return "\n".join(lines)

    @property
    def faults(self) -> Iterator[str]:
        """Yields a line for each file that is not in the tree, or not completely, with the reason."""
        if self.twice:
            yield f"duplicates: {len(self.twice):,} files"
            yield from (f"  {path}, the same as {other}" for path, other in self.twice.items())
        if self.not_dicom:
            yield f"not instances: {len(self.not_dicom):,} files"
            yield from (f"  {path}: {why}" for path, why in self.not_dicom.items())
        if self.left_out:
            yield f"left out: {len(self.left_out):,} attributes"
            yield from (f"  {path}: {why}" for path, why in self.left_out)
        if self.failed:
            yield f"not converted: {len(self.failed):,} files"
            yield from (f"  {path}: {why}" for path, why in self.failed.items())
