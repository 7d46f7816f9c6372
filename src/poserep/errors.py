"""The one exception for input that a user can put right."""


class InputError(ValueError):
    """Bad input: the message names the file or value and says what to do about it."""
