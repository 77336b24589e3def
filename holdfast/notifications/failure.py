"""How an attempt to reach a receiver fails."""


class DeliveryFailed(Exception):
    """The receiver did not take it. `status` is the HTTP status or SMTP reply code, where one came;
    `detail` is why, and may name addresses. A `final` failure would be the same the next time."""

    def __init__(self, detail: str, *, status: int | None = None, final: bool = False) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status
        self.final = final
