"""The one error of the set-up. Imported by any Python 3, so nothing newer than Python 3.6 may stand here."""


class SetupError(Exception):
    """Something that only the user can mend; the message is one line that says how."""
