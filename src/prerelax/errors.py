"""Errors that are the user's to mend."""


class UserError(ValueError):
    """A wrong file, config or call: the command line shows its one sentence and exits with status 2."""


class MissingProgramError(UserError):
    """The program or package behind an engine is not installed on this machine."""
