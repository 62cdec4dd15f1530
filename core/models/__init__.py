"""Networks: backbones by name, the Feature Enhancement Module, weights from files."""
