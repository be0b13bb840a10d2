"""The errors a user can cause, each saying where, what was expected, what was found and what to do."""


class PellucidError(Exception):
    """A mistake outside the package: in a configuration, a file, a recording or the state of a run.

    where     file and key, or store, array and axis
    expected  what a correct input looks like
    found     what is there instead
    remedy    what the user can do about it
    """

    def __init__(self, where: str, *, expected: str, found: str, remedy: str) -> None:
        self.where, self.expected, self.found, self.remedy = where, expected, found, remedy
        super().__init__(where)

    def __str__(self) -> str:
        return f"{self.where}: expected {self.expected}, found {self.found}. {self.remedy}"


class ConfigError(PellucidError, ValueError):
    """A configuration that cannot mean anything: unknown key, wrong type, dangling name."""


class SchemaError(PellucidError, ValueError):
    """A store or tree that breaks the array contract."""


class DataError(PellucidError, ValueError):
    """A raw file or a signal that cannot be used: truncated, wrong shape, NaN, wrong rate."""


class MissingError(PellucidError, FileNotFoundError):
    """A file, group or variable that should exist and does not."""

    def __str__(self) -> str:  # OSError would print its arguments only
        return PellucidError.__str__(self)


class FetchError(PellucidError, OSError):
    """A public file that could not be fetched, or whose checksum differs."""

    def __str__(self) -> str:
        return PellucidError.__str__(self)


class StorageError(PellucidError, OSError):
    """An output that could not be written: full disk, no permission."""

    def __str__(self) -> str:
        return PellucidError.__str__(self)


class StateError(PellucidError, RuntimeError):
    """Results whose history is unknown to the workflow engines."""
