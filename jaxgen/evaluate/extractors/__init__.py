"""Networks as sources of features, each with the input rule of its protocol: one file and one opener a network."""
