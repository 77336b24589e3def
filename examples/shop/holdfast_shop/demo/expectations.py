"""What the story promises on its way; the first promise that is not kept ends it."""


class Unexpected(Exception):
    """Something did not turn out as the story promises; the message says what."""


def expect(kept: bool, promise: str, found: object) -> None:
    """Go on if the promise is kept.

    Raises:
        Unexpected: it is not; the message has the promise and what was found instead.
    """
    if not kept:
        raise Unexpected(f"expected that {promise}; found: {found}")
