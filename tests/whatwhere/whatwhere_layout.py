"""What the raw files of simulated populations hold, as options of the reader `numpy`."""


def layout(*axes):
    """Return the options for images of these axes."""
    responses = {
        "responses": {"dims": ["repeat", "image", "neuron"]},
        "row": {"dims": ["neuron"], "units": "px"},
        "column": {"dims": ["neuron"], "units": "px"},
    }
    stimulus = {"images": {"dims": ["image", *axes]}, "set": {"dims": ["image"]}}
    return {"groups": {"stimulus": {"variables": stimulus}, "responses": {"variables": responses}}}
