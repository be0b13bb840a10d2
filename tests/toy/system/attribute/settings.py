from pellucid.settings import Block


class Settings(Block):
    absolute: bool = True
