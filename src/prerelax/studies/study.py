"""What the parts of a campaign's `studies` share."""

from prerelax.settings import Settings


class Study(Settings):
    """The part of a campaign's config that one study reads."""
