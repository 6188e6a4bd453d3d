"""The one kind of error that is the user's to mend."""


class UserError(ValueError):
    """A wrong file, config or call: the command line shows its one sentence and exits with status 2."""
