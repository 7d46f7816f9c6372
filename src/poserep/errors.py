"""The one exception for input that a user can put right."""


class InputError(ValueError):
    """Bad input: the message names the file or value and says what to do about it."""


def message(error: InputError) -> str:
    """What it says; errors from loader processes arrive with a traceback in front."""
    return str(error).rsplit("poserep.errors.InputError: ", 1)[-1].strip()
