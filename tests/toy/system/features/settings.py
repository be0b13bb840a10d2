from pellucid.preprocess.settings import Split
from pellucid.settings import Block


class Settings(Block):
    bins: int = 2
    pause_s: float = 0.0
    split: Split = Split(by="subject", folds=4)
