from typing import Literal

from pellucid.settings import Block


class Settings(Block):
    kind: Literal["trials", "images"] = "trials"
    subjects: int = 4
    trials: int = 24
