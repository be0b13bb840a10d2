from pellucid.settings import Block


class Settings(Block):
    dpi: int = 50
